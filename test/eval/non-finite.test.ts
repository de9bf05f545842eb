/** A model with NaN or infinite outputs has no accuracy: no number of it is printed, in no form, and it passes no gate. */
import {renderEvaluation} from '../../src/cli/render/evaluation.js';
import {styleFor} from '../../src/cli/terminal/style.js';
import {fillUniform} from '../../src/core/random.js';
import {float32} from '../../src/core/tensor.js';
import type {Batch} from '../../src/data/loader.js';
import {evaluate} from '../../src/eval/evaluate.js';
import {type Evaluation, summarise} from '../../src/eval/evaluation.js';
import {checkFast} from '../../src/eval/fast-check.js';
import {renderReport} from '../../src/eval/report/page.js';
import {type Subject, subjectOfModel} from '../../src/eval/subject.js';
import {type TinyOptions, tinyNetwork} from './networks.js';

const COUNT = 24;
const SIDE = 8;
const subject = (name: string, options: TinyOptions = {}): Subject => ({
  ...subjectOfModel('tiny.pth', 'student', tinyNetwork({side: SIDE, ...options})),
  ...{name, form: 'onnx'},
});
const fine = subject('fine');
const broken = (value: number) => subject('broken', {change: {name: 'fc.bias', to: () => value}});

/** Image 5 has a NaN in it where asked for: then every model gives NaN on this one alone. */
async function* batches(from: number, withNaN = false): AsyncGenerator<Batch> {
  const size = 3 * SIDE * SIDE;
  const images = new Float32Array((COUNT - from) * size);
  fillUniform(images, 'images', -1, 1);
  if (withNaN) images[(5 - from) * size] = Number.NaN;
  const indices = Int32Array.from({length: COUNT - from}, (_, i) => from + i);
  yield {images: float32([COUNT - from, 3, SIDE, SIDE], images), labels: indices.map((i) => i % 10), indices, failures: []};
}

async function evaluation(subjects: readonly Subject[], withNaN = false): Promise<Evaluation> {
  const outcome = await evaluate({subjects, total: COUNT, batches: (from) => batches(from, withNaN)});
  const recipe = {resize: SIDE, crop: SIDE, interpolation: 'bilinear', mean: [0, 0, 0], std: [1, 1, 1]};
  const provider = {asked: 'cpu', used: 'cpu', reason: 'asked for'} as const;
  const classes = Array.from({length: 10}, (_, i) => `class ${i}`);
  return summarise(outcome, {
    settings: {data: 'set', classes: 10, recipe, recipeReason: 'a test', batchSize: COUNT, threads: null, provider},
    gates: {minTop1: 0, maxDrop: 100, minAgreement: 0},
    ...{classes, warnings: [], pathOf: (i: number) => `image-${i}.png`, providers: []},
  });
}
const context = {command: 'gpd eval', environment: [], thumbnails: new Map()};

describe.each([Number.NaN, Number.POSITIVE_INFINITY])(
  'a model that gives %d for everything, beside one that does not',
  (value) => {
    test('is not measured; the other is', async () => {
      const {models, comparisons, gates, ok} = await evaluation([fine, broken(value)]);
      expect(models[0]).toMatchObject({
        top1: expect.any(Number),
        crossEntropy: expect.any(Number),
        nonFinite: 0,
        agreement: 100,
      });
      expect(models[1]).toMatchObject({
        ...{top1: null, top5: null, correct1: null, correct5: null, top1Interval: null, top5Interval: null},
        ...{
          crossEntropy: null,
          calibrationError: null,
          agreement: null,
          perClass: [],
          confusions: [],
          calibration: [],
          worst: [],
        },
        ...{images: COUNT, nonFinite: COUNT},
      });
      expect(models[1]!.nonFiniteImages.slice(0, 2)).toEqual(['image-0.png', 'image-1.png']);
      const unmeasured = {agreement: null, mcnemar: null, onlyA: null, bothWrong: null, difference: null, histogram: []};
      expect(comparisons).toEqual([expect.objectContaining({...unmeasured, images: COUNT, nonFinite: COUNT})]);
      const because = 'outputs of broken are NaN or infinite on 24 images';
      expect(gates.filter((gate) => gate.model === 'broken')).toEqual(
        ['min-top1', 'max-drop', 'min-agreement'].map((gate) =>
          expect.objectContaining({gate, value: null, because, ok: false}),
        ),
      );
      expect(ok).toBe(false);
    });

    test('is not measured as a baseline either: nothing agrees with it', async () => {
      const {models, baseline, gates} = await evaluation([broken(value), fine]);
      expect([baseline, models[0]!.agreement, models[1]!.agreement]).toEqual(['broken', null, null]);
      expect(gates.filter(({ok}) => ok).map(({gate, model}) => `${gate} ${model}`)).toEqual(['min-top1 fine']);
    });

    test('terminal and report show no number of it', async () => {
      const e = await evaluation([fine, broken(value)]);
      const lines = renderEvaluation(e, styleFor({}, {}));
      expect(lines.find((line) => line.includes('broken: not measured'))).toContain('on 24 images (first image-0.png)');
      expect(
        lines
          .find((line) => /^ {2}broken /.test(line))!
          .trim()
          .split(/\s+/),
      ).toHaveLength(2); // its name and images/s
      expect(lines).toContain('  not compared: outputs are NaN or infinite on 24 images');
      expect(lines.join('\n')).not.toMatch(/NaN %|undefined|null|broken errs/);
      const page = await renderReport(e, context);
      expect(page).toContain('broken: not measured');
      expect(page.replaceAll('NaN or infinite', '')).not.toMatch(/undefined|NaN|\[object/);
    });
  },
);

test('one image is enough, and two models that both give NaN on it agree on nothing', async () => {
  const {models, comparisons} = await evaluation([fine, subject('other', {seed: 'other'})], true);
  for (const model of models)
    expect(model).toMatchObject({top1: null, calibrationError: null, nonFinite: 1, nonFiniteImages: ['image-5.png']});
  expect(comparisons[0]).toMatchObject({nonFinite: 1, agreement: null, difference: null});
});

test('a run that was interrupted after the NaN still knows of it', async () => {
  const subjects = [broken(Number.NaN)];
  const first = await evaluate({subjects, total: 2 * COUNT, batches});
  expect(first.complete).toBe(false);
  let state: Parameters<NonNullable<Parameters<typeof evaluate>[0]['save']>>[0] | undefined;
  await evaluate({subjects, total: 2 * COUNT, batches, save: (saved) => (state = JSON.parse(JSON.stringify(saved)))});
  const {models} = await evaluate({subjects: [fine], total: COUNT, batches, state: {...state!, done: COUNT}});
  expect(models[0]).toMatchObject({nonFinite: COUNT, top1: Number.NaN});
});

test('--fast against exact: NaN both ways is no agreement', async () => {
  const check = await checkFast(broken(Number.NaN), {}, () => batches(0));
  expect(check).toEqual({model: 'broken', images: COUNT, nonFinite: COUNT, agreement: null, top1Exact: null, top1Fast: null});
});
