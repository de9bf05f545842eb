/** Gates, baselines and recipes: what is judged, against what, on which images. */

import {renderEvaluation} from '../../src/cli/render/evaluation.js';
import {eta, rateProgress} from '../../src/cli/terminal/rate-progress.js';
import {styleFor} from '../../src/cli/terminal/style.js';
import {chooseRecipe} from '../../src/eval/choose-recipe.js';
import {baselineOf, type ModelSummary} from '../../src/eval/evaluation.js';
import {judge} from '../../src/eval/gates.js';
import {spread} from '../../src/workflows/evaluate.js';
import {evaluationOf} from './evaluations.js';

const [before, after] = evaluationOf().models as [ModelSummary, ModelSummary];
const plain = styleFor({isTTY: false}, {});

describe('gates', () => {
  const teacher: ModelSummary = {...before, name: 'teacher', form: 'teacher', top1: 10};
  const judged = (options: Parameters<typeof judge>[0]) => judge(options, [teacher, before, after], before);

  test('every model but the dynamic teacher must be good enough', () => {
    expect(judged({minTop1: 80}).map(({model, ok}) => [model, ok])).toEqual([
      [before.name, true],
      [after.name, false],
    ]);
  });
  test('drop and agreement are against the baseline; decimals are not lost', () => {
    expect(judged({maxDrop: 0.1})).toEqual([
      {gate: 'max-drop', model: after.name, bound: 0.1, value: 0.1, because: null, ok: true},
    ]);
    expect(judged({maxDrop: 0.05})[0]!.ok).toBe(false);
    expect(judged({minAgreement: 98}).map((g) => g.ok)).toEqual([true]);
  });
  test('what cannot be measured does not pass', () => {
    const blind = {...after, top1: null};
    expect(judge({minTop1: 0, maxDrop: 5}, [before, blind], before).filter((g) => g.model === blind.name)).toEqual([
      expect.objectContaining({value: null, ok: false}),
      expect.objectContaining({value: null, ok: false}),
    ]);
  });
  test('no gate, nothing to judge', () => expect(judged({})).toEqual([]));
});

test('the baseline is the student before deployment, else the first', () => {
  expect(baselineOf([{form: 'teacher'}, {form: 'student'}, {form: 'onnx'}])).toBe(1);
  expect(baselineOf([{form: 'onnx'}, {form: 'onnx'}])).toBe(0);
});

describe('recipe', () => {
  const model = (name: string, family: string | undefined, side: number) => ({
    ...{name, path: name, family},
    input: {name: 'x', side, batch: undefined, dtype: 'float32' as const},
  });
  test('of the network, whichever model tells it', () => {
    expect(chooseRecipe([model('a', undefined, 224), model('b', 'rvt', 224)], undefined).recipe).toMatchObject({
      interpolation: 'bicubic',
      crop: 224,
    });
  });
  test('guessed from the size, and said so', () => {
    expect(chooseRecipe([model('a', undefined, 32)], undefined).reason).toContain('guessed from 32 px');
    expect(chooseRecipe([model('a', undefined, 224)], undefined).recipe.resize).toBe(256);
  });
  test('two networks of different preparation need a decision', () => {
    const both = [model('a', 'resnet', 224), model('b', 'rvt', 224)];
    expect(() => chooseRecipe(both, undefined)).toThrow('trained on differently prepared images');
    expect(chooseRecipe(both, 'cnn', {resize: 240})).toEqual({
      recipe: expect.objectContaining({resize: 240, interpolation: 'bilinear'}),
      reason: 'asked for: cnn, with its own resize',
    });
  });
});

test('a part of a set is spread over all of it', () => {
  expect(spread(10, 4)).toEqual([0, 2, 5, 7]);
  expect(spread(3, 10)).toEqual([0, 1, 2]);
  expect(new Set(spread(5000, 1234)).size).toBe(1234);
});

describe('progress', () => {
  const lines: string[] = [];
  const stream = (isTTY: boolean) => ({isTTY, write: (text: string) => lines.push(text)}) as unknown as NodeJS.WriteStream;
  beforeEach(() => lines.splice(0));

  test('in a log: a line now and then, with rate and time left', () => {
    let clock = 0;
    const progress = rateProgress(stream(false), () => clock);
    for (; clock <= 70_000; clock += 1000) progress.show(clock, 140_000, 1000);
    progress.end();
    expect(lines).toEqual([
      '30,000 of 140,000 images, 1000/s, 1 min 50 s left\n',
      '60,000 of 140,000 images, 1000/s, 1 min 20 s left\n',
    ]);
  });
  test('on a terminal: one line that disappears', () => {
    const progress = rateProgress(stream(true), () => 0);
    progress.show(50, 100, 0.5);
    progress.show(60, 100, 0.5);
    progress.end();
    expect(lines).toEqual([
      expect.stringMatching(/━{10}─{10} {2}50 of 100 images, 2\.00 s an image, 1 min 40 s left$/),
      '\r\x1b[K',
    ]);
  });
  test('time left', () => {
    expect([12_000, 200_000, 7_500_000, Number.POSITIVE_INFINITY].map(eta)).toEqual(['12 s', '3 min 20 s', '2 h 05 min', '?']);
  });
});

test('a result in words: accuracy, difference, gates, and what was left out', () => {
  const text = renderEvaluation(evaluationOf({path: 'x\x1b[31m'}), plain).join('\n');
  expect(text).toMatch(/a\.onnx +79\.90 +74\.90–83\.90 +99\.00/);
  expect(text).toContain('same top class on 196 of 200 images; only the first is right on 2');
  expect(text).toContain('FAILED  a.onnx: top-1 79.90 %, at least 80 % asked for');
  expect(text).toContain('1 image could not be read and is not counted');
  expect(text).not.toContain('\x1b');
});
