/** Whole conversions: what appears on the disk, what is reported, and that the same input gives the same bytes. */
import {createHash} from 'node:crypto';
import {copyFileSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {openCheckpoint} from '../../src/checkpoint/open.js';
import {emitNames, emits} from '../../src/convert/build.js';
import {type ConvertOptions, convertFile} from '../../src/convert/convert.js';
import {fileSource} from '../../src/core/bytes.js';
import {GpdError} from '../../src/core/error.js';
import {recognise} from '../../src/models/recognise.js';
import {runReference} from '../../src/models/reference.js';
import {decodeModel} from '../../src/onnx/decode.js';
import {fixtureCase, fixtureCases, fixtureNamed, fixturePath, GOLDENS} from '../cases.js';
import {expectLogits} from '../close.js';
import {describeShared, shared} from '../shared.js';
import {logitsOf} from './run-model.js';

let folder = '';
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'convert-'));
});
afterEach(() => rmSync(folder, {recursive: true, force: true}));
const at = (name: string) => join(folder, name);

async function refusal(path: string, options: ConvertOptions): Promise<GpdError> {
  const before = readdirSync(folder).sort();
  const error = await convertFile(path, options).then(
    () => undefined,
    (e: unknown) => e,
  );
  expect(readdirSync(folder).sort()).toEqual(before); // nothing new, nothing half-written
  if (!(error instanceof GpdError)) throw error ?? new Error('nothing was refused');
  expect([error.code, typeof error.hint]).toEqual([error.code, 'string']);
  return error;
}

test.each(fixtureCases)('%s: every form at once', async (_, open) => {
  const c = open();
  const outputs = Object.fromEntries(emitNames.map((emit) => [emit, at(`${emit}.onnx`)]));
  const weights = {safetensors: at('w.safetensors'), pth: at('w.pth')};
  const report = await convertFile(c.path, {...c.flags, outputs, weights, ema: c.ema});
  expect(readdirSync(folder).sort()).toEqual([...emitNames.map((emit) => `${emit}.onnx`), 'w.pth', 'w.safetensors'].sort());
  for (const output of report.outputs) {
    const {role, minimal} = emits[output.emit];
    const bytes = readFileSync(output.path);
    expect([output.bytes, output.externalBytes, output.proof !== undefined]).toEqual([bytes.length, 0, minimal]);
    expect(output.proof?.relative ?? 0).toBeLessThan(1e-5); // float32 on both sides; the bound itself is 1e-4
    const {data} = await logitsOf(output.path, c.images);
    expectLogits(data, c.logits[role], 1e-5, 'float32 layers and one rounding of each weight, against float64', output.emit);
  }
  for (const {path} of report.weights) {
    const {stateDict, args} = openCheckpoint(fileSource(path));
    const {arch, form} = recognise(stateDict, args, {...c.flags, ratio: undefined});
    const logits = runReference(arch, stateDict, form, 'student', c.images);
    expectLogits(logits.data, c.logits.student, 1e-5, 'each weight is rounded to float32 once', path);
  }
});

const {path: resnet, flags} = fixtureCase(fixtureNamed('resnet18_r2_orepa_ema.pth.tar'), 'weights');

test('the same input gives the same bytes, under any name', async () => {
  copyFileSync(resnet, at('copy.pth.tar'));
  await convertFile(resnet, {...flags, outputs: {student: at('a.onnx'), teacher: at('b.onnx')}});
  await convertFile(at('copy.pth.tar'), {...flags, outputs: {teacher: at('d.onnx'), student: at('c.onnx')}});
  expect(readFileSync(at('a.onnx')).equals(readFileSync(at('c.onnx')))).toBe(true);
  expect(readFileSync(at('b.onnx')).equals(readFileSync(at('d.onnx')))).toBe(true);
  await convertFile(resnet, {...flags, ema: true, outputs: {student: at('e.onnx')}});
  expect(readFileSync(at('a.onnx')).equals(readFileSync(at('e.onnx')))).toBe(false);
});

test('the model says where it comes from, and what was measured', async () => {
  const labels = Array.from({length: 10}, (_, i) => `class ${i}`);
  const {outputs, input} = await convertFile(resnet, {...flags, labels, outputs: {student: at('a.onnx')}});
  const {metadata} = decodeModel(readFileSync(at('a.onnx')));
  const sha256 = createHash('sha256').update(readFileSync(resnet)).digest('hex');
  expect(Object.fromEntries(metadata)).toMatchObject({
    'gpd.source.sha256': sha256,
    'gpd.source.state_dict': 'state_dict',
    'gpd.form': 'student',
    'gpd.arch': 'resnet18',
    'gpd.kind': 'gpd',
    'gpd.ratio': '2',
    'gpd.orepa': '13',
    'gpd.proof.max_abs': outputs[0]!.proof!.maxAbs.toExponential(3),
    labels: JSON.stringify(labels),
  });
  expect([...metadata.values()].join()).not.toContain(folder);
  expect([input.sha256, input.stateDictKey]).toEqual([sha256, 'state_dict']);
});

test('outputs that would surprise are refused, and --force replaces', async () => {
  writeFileSync(at('there.onnx'), 'precious');
  copyFileSync(resnet, at('in.pth'));
  symlinkSync(at('in.pth'), at('link.onnx'));
  for (const output of ['there.onnx', 'missing/a.onnx', 'in.pth', 'link.onnx', '.'])
    expect((await refusal(at('in.pth'), {...flags, outputs: {student: at(output)}})).code).toBe('OUTPUT_REFUSED');
  for (const output of ['in.pth', 'link.onnx'])
    expect((await refusal(at('in.pth'), {...flags, force: true, outputs: {student: at(output)}})).code).toBe('OUTPUT_REFUSED');
  await convertFile(at('in.pth'), {...flags, force: true, outputs: {student: at('there.onnx')}});
  expect(decodeModel(readFileSync(at('there.onnx'))).graph.name).toBe('resnet18_student');
});

test('labels that do not fit, and a missing average, are refused', async () => {
  const outputs = {student: at('a.onnx')};
  expect((await refusal(resnet, {...flags, outputs, labels: ['cat']})).code).toBe('SHAPE_MISMATCH');
  expect((await refusal(fixturePath('resnet18_deployed.pth'), {...flags, outputs, ema: true})).code).toBe(
    'STATE_DICT_NOT_FOUND',
  );
});

describeShared(GOLDENS, 'files that are not what they should be', () => {
  test.each([
    ['13b2_flipped_bit', 'CHECKPOINT_CORRUPT', 'layer4.0.conv2.weight'],
    ['13d_missing_tensor', 'KEY_MISSING', 'layer2.1.conv1.weight'],
    ['13d2_missing_tiny_stats', 'KEY_MISSING', 'layer3.0.bn2.tiny_running_var'],
    ['13e_wrong_shape', 'SHAPE_MISMATCH', 'layer3.0.bn1.weight'],
    ['13e2_wrong_shape_conv', 'SHAPE_MISMATCH', 'layer4.0.conv2.weight'],
    ['13f_nan', 'WEIGHTS_NOT_FINITE', 'layer1.0.conv1.weight'],
    ['13f2_inf', 'WEIGHTS_NOT_FINITE', 'fc.weight'],
    ['13l_other_model', 'ARCH_UNKNOWN', 'encoder.weight'],
    ['13a_truncated', 'CHECKPOINT_TRUNCATED', 'checkpoint.pth.tar'],
    ['13c_malicious_zip', 'PICKLE_UNSUPPORTED', 'posix.system'],
  ])('%s', async (name, code, where) => {
    const outputs = {student: at('a.onnx')};
    const error = await refusal(shared(GOLDENS, name, 'checkpoint.pth.tar'), {ratio: 2, imageSize: 64, outputs});
    expect([error.code, error.message]).toEqual([code, expect.stringContaining(where)]);
  });
});
