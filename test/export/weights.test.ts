/** Weights for PyTorch: names, shapes and values that torchvision's own networks load without complaint, and what they then compute. */
import {spawnSync} from 'node:child_process';
import {mkdtempSync, readFileSync, rmSync, writeFileSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {openCheckpoint} from '../../src/checkpoint/open.js';
import {buildModel} from '../../src/convert/build.js';
import {deployedWeights} from '../../src/convert/deployed-weights.js';
import {bufferSource} from '../../src/core/bytes.js';
import {Staging} from '../../src/core/output.js';
import {fillUniform} from '../../src/core/random.js';
import {bytesOf, float32, type StateDict, sourceOf, type TensorSource, tensor, toFloat32} from '../../src/core/tensor.js';
import {formats} from '../../src/export/formats.js';
import {foldedWeights, inHalf, renamed, restoreBatchNorms, withoutBiases} from '../../src/export/weights.js';
import {archs} from '../../src/models/families/index.js';
import {recognise} from '../../src/models/recognise.js';
import {runReference} from '../../src/models/reference.js';
import {manifestOf} from '../../src/models/walk.js';
import {modelBytes} from '../../src/onnx/encode.js';
import {Graph, type Model} from '../../src/onnx/graph.js';
import {openSession} from '../../src/onnx/session.js';
import {fixtureCases} from '../cases.js';
import {expectClose, expectLogits} from '../close.js';
import {PYTHON, testWith} from '../optional.js';

const folder = mkdtempSync(join(tmpdir(), 'gpd-weights-'));
afterAll(() => rmSync(folder, {recursive: true, force: true}));
const convolutional = fixtureCases.filter(([name]) => name.includes('weights') && !name.startsWith('rvt'));

const logitsOf = (weights: StateDict, open: (typeof fixtureCases)[number][1]) => {
  const {images, flags} = open();
  const plain = recognise(weights, undefined, {...flags, ratio: undefined});
  return {logits: runReference(plain.arch, weights, plain.form, 'student', images).data, kind: plain.kind};
};

test.each(fixtureCases)('%s: kept batch norms, no biases before them, the same function', async (_, open) => {
  const c = open();
  const recognised = c.recognise();
  const weights = withoutBiases(await deployedWeights(recognised), recognised.modules);
  const {logits, kind} = logitsOf(weights, open);
  if (recognised.arch.family !== 'rvt') expect(kind).toBe('plain');
  expectLogits(logits, c.logits.student, 1e-5, 'each weight is rounded to float32 once');
});

test.each(convolutional)('%s: from a finished ONNX student, batch norms folded or put back', async (_, open) => {
  const c = open();
  const recognised = c.recognise();
  const {model} = await buildModel(recognised, 'student', {opset: 20});
  const folded = foldedWeights(model);
  expect([...folded.keys()].some((key) => key.includes('running'))).toBe(false);
  const restored = restoreBatchNorms(folded, recognised.modules);
  expect([...restored.keys()].filter((key) => !key.endsWith('num_batches_tracked'))).toEqual(
    [...withoutBiases(await deployedWeights(recognised), recognised.modules).keys()].filter(
      (key) => !key.endsWith('num_batches_tracked'),
    ),
  );
  expectLogits(logitsOf(restored, open).logits, c.logits.student, 1e-5, 'two roundings to float32 a weight');
});

test('a kernel that many nodes share is not written again and again', () => {
  const shared = (convs: number): Model => {
    const graph = new Graph('shared');
    const kernel = graph.initializer('kernel', float32([256, 256, 1, 1], new Float32Array(2 ** 16))); // 256 KiB
    let value = graph.input('input', 'float32', ['N', 256, 1, 1]);
    for (let i = 0; i < convs; i++) value = graph.op('Conv', [value, kernel], {}, {name: `conv${i}`});
    graph.outputs = [value];
    return {
      graph,
      opset: 20,
      irVersion: 9,
      domains: new Map(),
      producer: {name: 'test', version: ''},
      metadata: new Map(),
      file: 'x.onnx',
    };
  };
  expect(foldedWeights(shared(17)).size).toBe(17); // its own, and 4 MiB
  const refused = {code: 'LIMIT_EXCEEDED', at: 'x.onnx#conv17.weight', hint: expect.any(String)};
  expect(() => foldedWeights(shared(100))).toThrow(expect.objectContaining(refused));
});

test('transformers are refused from ONNX: their queries carry the factor of the scores', async () => {
  const [, open] = fixtureCases.find(([name]) => name.startsWith('rvt_r2'))!;
  const {model} = await buildModel(open().recognise(), 'student', {opset: 20});
  expect(() => foldedWeights(model)).toThrow(
    expect.objectContaining({code: 'EXPORT_REFUSED', hint: expect.stringContaining('checkpoint')}),
  );
});

/** Seeded weights of a published network, under the names of the original. */
function seeded(arch: keyof typeof archs): StateDict {
  const uniform = (name: string, shape: readonly number[], low: number, high: number) => {
    const data = new Float32Array(shape.reduce((a, b) => a * b, 1));
    fillUniform(data, name, low, high);
    return [name, sourceOf(float32(shape, data))] as const;
  };
  const entries = manifestOf(archs[arch].build()).modules.flatMap((m) => {
    if (m.kind === 'conv') {
      const fan = Math.sqrt((m.in / m.groups) * m.kernel[0] * m.kernel[1]);
      return [uniform(`${m.name}.weight`, [m.out, m.in / m.groups, ...m.kernel], -1.7 / fan, 1.7 / fan)];
    }
    if (m.kind === 'batchNorm') {
      const one = (leaf: string, low: number, high: number) => uniform(`${m.name}.${leaf}`, [m.channels], low, high);
      return [one('weight', 0.5, 1.5), one('bias', -0.5, 0.5), one('running_mean', -0.3, 0.3), one('running_var', 0.5, 1.5)];
    }
    if (m.kind !== 'linear') return [];
    return [uniform(`${m.name}.weight`, [m.out, m.in], -0.05, 0.05), uniform(`${m.name}.bias`, [m.out], -0.1, 0.1)];
  });
  return new Map(entries);
}

/** A biased convolution before each batch norm, as merged branches leave it: the same function by other numbers. */
function withBiases(weights: StateDict): StateDict {
  const all = new Map(weights);
  for (const m of manifestOf(archs.resnet18.build()).modules) {
    if (m.kind !== 'batchNorm') continue;
    const conv = m.name.replace(/bn(\d)$/, 'conv$1').replace(/downsample\.1$/, 'downsample.0');
    const bias = new Float32Array(m.channels);
    fillUniform(bias, conv, -1, 1);
    const mean = toFloat32(weights.get(`${m.name}.running_mean`)!.read()).data;
    all.set(`${conv}.bias`, sourceOf(float32([m.channels], bias)));
    all.set(
      `${m.name}.running_mean`,
      sourceOf(
        float32(
          [m.channels],
          mean.map((v, i) => v + bias[i]!),
        ),
      ),
    );
  }
  return all;
}

const program = `
import sys, torch, torchvision
from torch import nn
path, images, out = sys.argv[1:]
state = torch.load(path)
assert type(state).__name__ == 'OrderedDict', type(state)
network = torchvision.models.resnet18()
missing = network.load_state_dict(state, strict=True)
network.eval()
x = torch.frombuffer(bytearray(open(images, 'rb').read()), dtype=torch.float32).reshape(2, 3, 224, 224)
with torch.no_grad(): open(out, 'wb').write(network(x).numpy().tobytes())
`;

testWith(
  'python3-torchvision',
  'torchvision loads a .pth strictly, biases moved into the means, and computes what our student computes',
  async () => {
    const original = seeded('resnet18');
    const biased = recognise(withBiases(original), undefined, {});
    expect(biased.kind).toBe('deployed');
    const weights = withoutBiases(await deployedWeights(biased), biased.modules);
    const staging = new Staging({replace: false});
    const path = join(folder, 'resnet18.pth');
    formats.pth.write(weights, path, staging);
    staging.commit();
    const images = new Float32Array(2 * 3 * 224 * 224);
    fillUniform(images, 'images', -1.7, 1.7);
    writeFileSync(join(folder, 'images'), bytesOf(float32([images.length], images)));
    const run = spawnSync(PYTHON, ['-c', program, path, join(folder, 'images'), join(folder, 'logits')], {encoding: 'utf8'});
    expect([run.status, run.stderr.split('\n').filter((line) => /Error/.test(line))]).toEqual([0, []]);
    const logits = new Float32Array(new Uint8Array(readFileSync(join(folder, 'logits'))).buffer);
    const {model} = await buildModel(recognise(original, undefined, {}), 'student', {opset: 20});
    const session = await openSession(modelBytes(model));
    const expected = (await session.run(new Map([['input', float32([2, 3, 224, 224], images)]]))).get('logits')!;
    await session.close();
    expectLogits(logits, expected.data as Float32Array, 1e-5, 'float32, sums of up to 4,608 products in another order');
  },
);

describe('names and numbers', () => {
  test('timm’s names of MobileNet v1, one for each of ours', () => {
    const weights = renamed(seeded('mobilenet'), 'timm');
    expect(weights.size).toBe(seeded('mobilenet').size);
    expect([...weights.keys()].slice(0, 6)).toEqual([
      ...['conv_stem.weight', 'bn1.weight', 'bn1.bias', 'bn1.running_mean', 'bn1.running_var', 'blocks.0.0.conv_dw.weight'],
    ]);
    expect([...weights.keys()]).toEqual(
      expect.arrayContaining(['blocks.3.5.conv_pw.weight', 'blocks.4.1.bn2.running_var', 'classifier.bias']),
    );
    expect(weights.get('blocks.4.1.conv_pw.weight')!.shape).toEqual([1024, 1024, 1, 1]);
    expect([...renamed(seeded('resnet18'), 'timm').keys()]).toEqual([...seeded('resnet18').keys()]);
  });

  test('half precision rounds to nearest and leaves counters', async () => {
    const counter: TensorSource = sourceOf(tensor('int64', [], BigInt64Array.of(7n)));
    const source = new Map<string, TensorSource>([
      ['a', sourceOf(float32([3], [1, 1 / 3, 70000]))],
      ['b.num_batches_tracked', counter],
    ]);
    const weights = inHalf(source);
    expectClose(toFloat32(weights.get('a')!.read()).data, [1, 0.333251953125, Number.POSITIVE_INFINITY], {
      atol: 0,
      because: 'exact',
    });
    expect(weights.get('b.num_batches_tracked')).toBe(counter);
  });

  test.each(['safetensors', 'pth'] as const)('%s is read back as it was written', async (format) => {
    const [, open] = convolutional[0]!;
    const weights = await deployedWeights(open().recognise());
    const staging = new Staging({replace: false});
    const written = formats[format].write(weights, join(folder, `x.${format}`), staging);
    const bytes = readFileSync(written.main.temporaryPath);
    expect(written.bytes).toBe(bytes.length);
    const {stateDict} = openCheckpoint(bufferSource(new Uint8Array(bytes)));
    expect([...stateDict.keys()]).toEqual([...weights.keys()]);
    for (const [key, source] of weights)
      expect(Buffer.compare(bytesOf(stateDict.get(key)!.read()), bytesOf(source.read()))).toBe(0);
    staging.discard();
  });
});
