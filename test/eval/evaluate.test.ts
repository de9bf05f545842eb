/** The engine against a slow definition: every image alone, in a session of its own. */
import {execFileSync} from 'node:child_process';
import {mkdtempSync, readFileSync, rmSync, writeFileSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import type {GpdError} from '../../src/core/error.js';
import {fillUniform, random} from '../../src/core/random.js';
import {float32} from '../../src/core/tensor.js';
import type {Batch} from '../../src/data/loader.js';
import {warnings} from '../../src/data/warnings.js';
import {checkClasses} from '../../src/eval/class-subset.js';
import {checkCompatible, type EvaluateOptions, evaluate, type SavedState} from '../../src/eval/evaluate.js';
import {runImages} from '../../src/eval/logits.js';
import {formOf} from '../../src/eval/output-form.js';
import {identityOf, StateFile} from '../../src/eval/run-state.js';
import {scoreOf} from '../../src/eval/scores.js';
import {type Subject, subjectOfModel} from '../../src/eval/subject.js';
import {ends, type TinyOptions, tinyNetwork} from './networks.js';

const SIDE = 8;
const COUNT = 41;
const labelOf = (i: number) => random(`label${i}`).integer(10);
const pixelsOf = (i: number) => {
  const pixels = new Float32Array(3 * SIDE * SIDE);
  fillUniform(pixels, `image${i}`, -2, 2);
  return pixels;
};
const subject = (name: string, options: TinyOptions = {}): Subject => ({
  ...subjectOfModel(name, 'student', tinyNetwork({side: SIDE, ...options})),
  name,
});
const a = subject('a');
const b = subject('b', {disturb: {name: 'fc.weight', by: 0}, seed: 'other'});
const fixed = subject('fixed', {batch: 4});

/** Batches of 8; the images named in `broken` cannot be read. */
async function* batchesFrom(from: number, broken: readonly number[] = []): AsyncGenerator<Batch> {
  for (let start = from; start < COUNT; start += 8) {
    const wanted = Array.from({length: Math.min(8, COUNT - start)}, (_, i) => start + i);
    const good = wanted.filter((i) => !broken.includes(i));
    yield {
      images: float32([good.length, 3, SIDE, SIDE], Float32Array.from(good.flatMap((i) => [...pixelsOf(i)]))),
      labels: Int32Array.from(good, labelOf),
      indices: Int32Array.from(good),
      failures: wanted.filter((i) => broken.includes(i)).map((index) => ({path: `${index}.jpg`, index, reason: 'corrupt'})),
    };
  }
}
const run = (subjects: readonly Subject[], more: Partial<EvaluateOptions> = {}) =>
  evaluate({subjects, total: COUNT, batches: (from) => batchesFrom(from), ...more});

async function oneByOne(s: Subject) {
  const session = await s.open({});
  const scores = [];
  for (let i = 0; i < COUNT; i++) {
    const logits = await runImages(session, s, float32([1, 3, SIDE, SIDE], pixelsOf(i)));
    scores.push(scoreOf(logits, labelOf(i)));
  }
  await session.close();
  return scores;
}

test('several models at once give what each image alone gives', async () => {
  const {models, pairs, complete} = await run([a, b]);
  const [alone, other] = [await oneByOne(a), await oneByOne(b)];
  expect(complete).toBe(true);
  for (const [m, scores] of [alone, other].entries()) {
    expect(models[m]!.correct1).toBe(scores.filter((s) => s.rank === 0).length);
    expect(models[m]!.correct5).toBe(scores.filter((s) => s.rank < 5).length);
    expect(models[m]!.crossEntropy).toBeCloseTo(scores.reduce((sum, s) => sum + s.loss, 0) / COUNT, 5);
  }
  expect(pairs[0]!.agreement).toBe(alone.filter((s, i) => s.predicted === other[i]!.predicted).length / COUNT);
});

test('a model with a fixed batch sees every image once', async () => {
  const {models, pairs} = await run([a, fixed]);
  expect(pairs[0]!.agreement).toBe(1);
  expect(pairs[0]!.difference.max).toBeLessThan(1e-5);
  expect(models[1]!.images).toBe(COUNT);
});

describe('models that end in a softmax', () => {
  test.each([
    ['softmax', 'probabilities', "it ends in Softmax 'prob'", 6],
    ['logSoftmax', 'log-probabilities', "it ends in LogSoftmax 'logprob'", 6],
    ['spelledOut', 'probabilities', 'no number is below 0, and those of an image sum to 1', 6],
    ['softmaxInHalf', 'probabilities', "it ends in Softmax 'prob'", 3],
  ] as const)('%s: loss and calibration of the same network', async (end, form, because, digits) => {
    const {models, pairs} = await run([a, subject(end, {end: ends[end]})]);
    const [logits, normalised] = models;
    expect([logits!.outputs, normalised!.outputs]).toEqual([
      {form: 'logits', because: ''},
      {form, because},
    ]);
    expect(normalised!.crossEntropy).toBeCloseTo(logits!.crossEntropy, digits);
    expect(normalised!.calibrationError).toBeCloseTo(logits!.calibrationError, digits);
    expect([normalised!.correct1, normalised!.correct5]).toEqual([logits!.correct1, logits!.correct5]);
    expect([pairs[0]!.compared, pairs[0]!.difference.max < 1e-3]).toEqual(['probabilities', true]);
  });

  test('a sigmoid at the end is said', async () => {
    const [model] = (await run([subject('each', {end: ends.sigmoid})])).models;
    expect(model!.outputs).toEqual({form: 'sigmoids', because: "it ends in Sigmoid 'each'"});
  });

  test('a probability of 0 for the label is a large loss, no infinite one', async () => {
    const sure = subject('sure', {end: ends.softmax, change: {name: 'fc.bias', to: (w) => 1000 * w}});
    const [model] = (await run([sure])).models;
    expect(model!.nonFinite).toBe(0);
    expect(model!.crossEntropy).toBeGreaterThan(10);
    expect(model!.crossEntropy).toBeLessThanOrEqual(149 * Math.LN2);
  });

  test.each([
    ['one that is below 0', [[0.5, -0.1, 0.6]], 'logits'],
    [
      'one image whose numbers do not sum to 1',
      [
        [0.5, 0.5, 0],
        [0.5, 0.4, 0],
      ],
      'logits',
    ],
    ['one class', [[1], [1]], 'logits'],
    [
      'all but what is not finite',
      [
        [Number.NaN, 0, 1],
        [0.25, 0.25, 0.5],
      ],
      'probabilities',
    ],
    ['exponentials that sum to 1', [[Math.log(0.5), Math.log(0.25), Math.log(0.25)]], 'log-probabilities'],
    ['nothing finite', [[Number.NaN, 0, 1]], undefined],
  ])('told by value: %s', (_, rows, form) => {
    const found = formOf(
      a.model(),
      a.output,
      rows.map((row) => Float32Array.from(row)),
    );
    expect(found?.form).toBe(form);
  });
});

test('among some classes no other is an answer', async () => {
  const {models} = await run([a], {among: [0, 2]});
  const {correct1, confusions} = models[0]!;
  expect(confusions.every(({predicted}) => predicted === 0 || predicted === 2)).toBe(true);
  expect(correct1).toBeGreaterThanOrEqual(0);
});

test('interrupted and taken up again: the same result', async () => {
  const whole = await run([a, b]);
  const stop = new AbortController();
  let saved: SavedState | undefined;
  const part = await run([a, b], {
    signal: stop.signal,
    onProgress: ({done}) => done >= 16 && stop.abort(),
    save: (state) => {
      saved = state;
    },
  });
  expect(part).toMatchObject({complete: false, done: 16});
  expect(part.models[0]!.images).toBe(16);
  const rest = await run([a, b], {state: JSON.parse(JSON.stringify(saved))});
  const results = ({models, pairs, done}: typeof whole) => ({
    done,
    pairs,
    models: models.map(({loadMs: _, runMs: __, runImagesPerSecond: ___, subject: ____, latency: _____, ...result}) => result),
  });
  expect(results(rest)).toEqual(results(whole));
});

test('images that cannot be read are counted and named, never silently dropped', async () => {
  const {models, failures, done} = await run([a], {batches: (from) => batchesFrom(from, [3, 8, 9, 10, 11, 12, 13, 14, 15])});
  expect(done).toBe(COUNT);
  expect(failures.count).toBe(9);
  expect(failures.list[0]).toEqual({path: '3.jpg', reason: 'corrupt'});
  expect(models[0]!.images).toBe(COUNT - 9);
});

test('an image that stops the run leaves a state behind', async () => {
  let saved: SavedState | undefined;
  async function* broken(): AsyncGenerator<Batch> {
    for await (const batch of batchesFrom(0)) {
      if (batch.indices[0]! >= 24) throw new Error('24.jpg is corrupt');
      yield batch;
    }
  }
  const save = (state: SavedState) => {
    saved = state;
  };
  await expect(run([a], {batches: broken, save})).rejects.toThrow('24.jpg');
  expect(saved?.done).toBe(24);
});

test('models of other sizes or classes are refused with what does not fit', () => {
  expect(() => checkCompatible([a, subject('big', {side: 16})])).toThrow('big takes 16 px, a 8 px');
  expect(() => checkCompatible([a, subject('few', {classes: 7})])).toThrow('few tells 7 classes apart, a 10');
  const classes = Array.from({length: 11}, (_, i) => `c${i}`);
  const set = {name: 'set', samples: [], classes, warnings: warnings('empty-class', ['c10']), async close() {}};
  expect(() => checkClasses(a, set)).toThrow('a tells 10 classes apart, the images have 11');
  try {
    checkClasses(a, set);
  } catch (error) {
    expect((error as GpdError).hint).toMatch('1 class folder holds no image; it keeps its label: c10');
  }
  expect.assertions(4);
});

describe('state file', () => {
  const folder = mkdtempSync(join(tmpdir(), 'gpd-state-'));
  afterAll(() => rmSync(folder, {recursive: true}));
  const model = join(folder, 'a.onnx');
  writeFileSync(model, 'bytes');
  const path = join(folder, 'state.json');
  const state: SavedState = {
    done: 3,
    tallies: [],
    pairs: [],
    failures: {count: 0, list: []},
    forms: [null, {form: 'probabilities', because: 'it ends in Softmax'}],
    elapsedMs: Number.POSITIVE_INFINITY,
  };

  test('infinite numbers survive', () => {
    const file = new StateFile(path, 'me');
    expect(file.read()).toBeUndefined();
    file.write(state);
    expect(file.read()).toEqual({version: 2, identity: 'me', ...state});
    expect(readFileSync(path, 'utf8').length).toBeLessThan(300);
  });
  test('the state of another run is refused', () => {
    expect(() => new StateFile(path, 'other').read()).toThrow('belongs to a run of other models');
    writeFileSync(path, '{"version": 1');
    expect(() => new StateFile(path, 'me').read()).toThrow('is not a saved state');
    rmSync(path);
    execFileSync('mkfifo', [path]); // would be waited for
    expect(() => new StateFile(path, 'me').read()).toThrow(expect.objectContaining({code: 'FILE_UNREADABLE'}));
  });
  test('a changed model or setting is another run', () => {
    const of = (settings: object) => identityOf([{...a, path: model}], settings);
    const before = of({batch: 1});
    expect(of({batch: 1})).toBe(before);
    expect(of({batch: 2})).not.toBe(before);
    writeFileSync(model, 'other bytes');
    expect(of({batch: 1})).not.toBe(before);
  });
});
