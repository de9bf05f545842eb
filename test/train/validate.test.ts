/** Accuracy and loss of a tally against their definitions. */
import {random} from '../../src/core/random.js';
import {float32} from '../../src/core/tensor.js';
import {bestOf, filledUp, ValidationTally} from '../../src/train/run/validate.js';

const r = random('tally');

test('top-1, top-5 and cross-entropy', () => {
  const [n, classes] = [200, 12];
  const data = Float32Array.from({length: n * classes}, () => Math.round(6 * r.normal()) / 2); // with equal logits
  const labels = Array.from({length: n}, () => r.integer(classes));
  const tally = new ValidationTally();
  tally.add(float32([n, classes], data), labels);
  const rows = labels.map((label, i) => ({label, row: [...data.subarray(i * classes, (i + 1) * classes)]}));
  const rankOf = ({label, row}: (typeof rows)[number]) =>
    row
      .map((value, c) => ({value, c}))
      .sort((a, b) => b.value - a.value || a.c - b.c)
      .findIndex(({c}) => c === label);
  const share = (most: number) => (100 * rows.filter((x) => rankOf(x) < most).length) / n;
  const loss =
    rows.reduce((sum, {label, row}) => sum + Math.log(row.reduce((s, v) => s + Math.exp(v - row[label]!), 0)), 0) / n;
  expect(tally.accuracy.top1).toBeCloseTo(share(1), 10);
  expect(tally.accuracy.top5).toBeCloseTo(share(5), 10);
  expect(tally.accuracy.loss).toBeCloseTo(loss, 9);
});

test('a network that gives NaN is never right', () => {
  const tally = new ValidationTally();
  tally.add(float32([1, 3], [Number.NaN, 1, 2]), [2]);
  tally.add(float32([1, 3], [Number.NaN, 1, 2]), [0]);
  tally.add(float32([1, 3], [1, Number.POSITIVE_INFINITY, 2]), [1]);
  expect(tally.accuracy).toMatchObject({top1: 0, top5: 0, loss: Number.NaN});
});

test('rows that were filled up are not counted', () => {
  const images = filledUp(float32([1, 3, 2, 2], new Float32Array(12).fill(1)), 3);
  expect([images.shape, [...images.data].reduce((a, b) => a + b, 0)]).toEqual([[3, 3, 2, 2], 12]);
  const tally = new ValidationTally();
  tally.add(float32([3, 2], [1, 0, 5, 0, 5, 0]), [1]);
  expect(tally.accuracy).toMatchObject({top1: 0, top5: 100});
});

test('the average is taken where it is better, not where it is as good', () => {
  const accuracy = (top1: number) => ({top1, top5: 0, loss: 0});
  expect(bestOf({student: accuracy(50), emaStudent: accuracy(60)})).toEqual({metric: 60, weights: 'ema'});
  expect(bestOf({student: accuracy(60), emaStudent: accuracy(60)})).toEqual({metric: 60, weights: 'model'});
});
