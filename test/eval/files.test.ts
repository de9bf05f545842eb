/** From files to results: checkpoints before, models after, on images; and the published numbers where the data lies. */
import {existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import sharp from 'sharp';
import {convertFile} from '../../src/convert/convert.js';
import {random} from '../../src/core/random.js';
import type {Tensor} from '../../src/core/tensor.js';
import {runImages} from '../../src/eval/logits.js';
import {type EvaluateFilesOptions, evaluateFiles} from '../../src/workflows/evaluate.js';
import {commandLine, saveReport} from '../../src/workflows/report-file.js';
import {openSubject} from '../../src/workflows/subjects.js';
import {verifyFiles} from '../../src/workflows/verify.js';
import {fixtureCases, fixtureNamed, fixturePath, goldenCases} from '../cases.js';
import {expectLogits} from '../close.js';
import {describeShared, shared} from '../shared.js';

const folder = mkdtempSync(join(tmpdir(), 'gpd-eval-'));
afterAll(() => rmSync(folder, {recursive: true}));

const checkpoint = fixturePath('cifar_resnet20_r2_orepa.pth.tar');
const {flags} = fixtureNamed('cifar_resnet20_r2_orepa.pth.tar');
const student = join(folder, 'student.onnx');
const images = join(folder, 'images');
let classes = 0;
let side = 0;

const options = (more: Partial<EvaluateFilesOptions>): EvaluateFilesOptions => ({
  ...{data: images, ...flags, batchSize: 4, threads: 1, state: join(folder, 'state.json')},
  ...more,
});
const files = [checkpoint, student];

async function writeImages(perClass: number): Promise<void> {
  const {integer} = random('images');
  for (let c = 0; c < classes; c++) {
    const own = join(images, `class${c}`);
    mkdirSync(own, {recursive: true});
    for (let i = 0; i < perClass; i++) {
      const pixels = Uint8Array.from({length: 3 * side * side}, () => integer(256));
      await sharp(pixels, {raw: {width: side, height: side, channels: 3}})
        .png()
        .toFile(join(own, `${i}.png`));
    }
  }
}

beforeAll(async () => {
  await convertFile(checkpoint, {...flags, outputs: {student}});
  const [subject] = await openSubject(student, {ema: false});
  ({
    classes,
    input: {side},
  } = subject!);
  await writeImages(3);
});

describe('before and after in one run', () => {
  test('teacher, student, and the converted student, which answers like the student before', async () => {
    const {evaluation} = await evaluateFiles(files, options({explainProvider: true, gates: {maxDrop: 0, minAgreement: 100}}));
    expect(evaluation.models.map(({form, images: n}) => [form, n])).toEqual([
      ['teacher', 3 * classes],
      ['student', 3 * classes],
      ['onnx', 3 * classes],
    ]);
    expect(evaluation.baseline).toBe(evaluation.models[1]!.name);
    expect(evaluation.models[2]!.agreement).toBe(100);
    expect(evaluation.comparisons.at(-1)!.difference!.max).toBeLessThan(1e-3);
    expect(evaluation).toMatchObject({ok: true, complete: true, images: {total: 3 * classes, failed: 0}});
    expect(evaluation.providers.map(({explanation}) => explanation.fallback)).toEqual([[], [], []]);
  });

  test('interrupted, then resumed: as if nothing had happened', async () => {
    const stop = new AbortController();
    const first = await evaluateFiles(files, options({signal: stop.signal, onProgress: () => stop.abort()}));
    expect(first.evaluation).toMatchObject({complete: false, images: {seen: 4}});
    expect(first.path).toBe(join(folder, 'state.json'));
    const second = await evaluateFiles(files, options({resume: true}));
    const whole = await evaluateFiles(files, options({}));
    const answers = ({evaluation}: typeof whole) =>
      evaluation.models.map(({top1, crossEntropy, agreement}) => ({top1, crossEntropy, agreement}));
    expect(answers(second)).toEqual(answers(whole));
    expect(existsSync(join(folder, 'state.json'))).toBe(false);
  });

  test('a fast run says what its preparation changes; an exact one has nothing to say', async () => {
    const {evaluation} = await evaluateFiles(files, options({fast: true}));
    const {fastCheck, models, baseline} = evaluation;
    const {top1} = models.find(({name}) => name === baseline)!;
    // Small images are not shrunk: both ways are one.
    expect(fastCheck).toEqual({
      model: baseline,
      images: 3 * classes,
      nonFinite: 0,
      agreement: 100,
      top1Exact: top1,
      top1Fast: top1,
    });
    expect((await evaluateFiles(files, options({}))).evaluation.fastCheck).toBeUndefined();
  });

  test('the report is written, with the images that it shows', async () => {
    const path = join(folder, 'report.html');
    await evaluateFiles(files, options({onResult: saveReport(path, ['a b.onnx', '--data', 'it’s'])}));
    const page = readFileSync(path, 'utf8');
    expect(page).toContain('data:image/jpeg;base64,');
    expect(page).toContain('onnxruntime 1.');
    expect(commandLine('eval', ['a b', "it's", '--x=1'])).toBe("gpd eval 'a b' 'it'\\''s' --x=1");
  });

  test('labels of another number of classes are refused before anything runs', async () => {
    rmSync(join(images, 'class0'), {recursive: true});
    await expect(evaluateFiles(files, options({}))).rejects.toMatchObject({code: 'SHAPE_MISMATCH'});
  });
});

test('verify: the converted student is the student', async () => {
  const {ok, outputs, divergence} = await verifyFiles(checkpoint, student, {samples: 8, layers: true, ...flags, threads: 1});
  expect(ok).toBe(true);
  expect(outputs.map(({kind, images: n}) => [kind, n])).toEqual([
    ['random', 8],
    ['edge', 10],
  ]);
  expect(divergence!.first).toBeUndefined();
  expect(divergence!.compared).toBeGreaterThan(20);
});

describe.each([...fixtureCases, ...goldenCases])('%s', (_, open) => {
  test('training forms, as eval runs them, give the logits that are right', async () => {
    const {path, ema, flags: told, images: input, logits} = open();
    for (const subject of await openSubject(path, {...told, ema})) {
      const session = await subject.open({threads: 1});
      const actual = await runImages(session, subject, input as Tensor<'float32'>);
      await session.close();
      const role = subject.form === 'teacher' ? 'teacher' : 'student';
      expectLogits(actual, logits[role], 2e-5, 'float32 rounding through the training form, fused by the runtime', role);
    }
  });
});

describeShared('data/pretrained', 'real networks on real photographs', () => {
  const RESULTS = [
    ['resnet20-12fca82f.th', 81.02, 98.4],
    ['resnet56-4bfd9763.th', 83.02, 99.04],
  ] as const;
  const ONE_IMAGE = 100 / 5000;

  test('the accuracy that PyTorch measures, within one image of 5,000', async () => {
    const published = RESULTS.map(([file]) => shared('data/pretrained', file));
    const {evaluation} = await evaluateFiles(
      published,
      options({data: shared('data/cifar10-val.tar'), batchSize: 50, threads: 2}),
    );
    for (const [i, [, top1, top5]] of RESULTS.entries()) {
      expect(Math.abs(evaluation.models[i]!.top1! - top1)).toBeLessThanOrEqual(ONE_IMAGE + 1e-9);
      expect(Math.abs(evaluation.models[i]!.top5! - top5)).toBeLessThanOrEqual(ONE_IMAGE + 1e-9);
    }
  }, 180_000);
});
