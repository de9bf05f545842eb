/** Each metric against a slow, obvious program, or against numbers from the literature. */
import fc from 'fast-check';
import {random} from '../../src/core/random.js';
import {Largest} from '../../src/eval/largest.js';
import {LogHistogram} from '../../src/eval/log-histogram.js';
import {largestDifference, PairTally} from '../../src/eval/pair-tally.js';
import {scoreAmong, scoreOf} from '../../src/eval/scores.js';
import {mcnemar, median, quantile, quartileRange, wilson} from '../../src/eval/statistics.js';
import {CALIBRATION_BINS, Tally} from '../../src/eval/tally.js';

const CLASSES = 7;
/** Random answers, some of them good; ties happen because logits are rounded. */
function makeAnswers(seed: string, images: number) {
  const {integer, normal} = random(seed);
  return Array.from({length: images}, () => {
    const label = integer(CLASSES);
    const logits = Float32Array.from({length: CLASSES}, (_, i) => Math.round(4 * (normal() + (i === label ? 1.5 : 0))) / 4);
    return {label, logits};
  });
}
const softmax = (logits: ArrayLike<number>): number[] => {
  const exps = Array.from(logits, (v) => Math.exp(v));
  const sum = exps.reduce((a, b) => a + b);
  return exps.map((e) => e / sum);
};
/** Indices, best first; the sort is stable. */
const ranking = (logits: ArrayLike<number>): number[] =>
  Array.from(logits, (_, i) => i).sort((a, b) => logits[b]! - logits[a]!);

function tallyOf(answers: ReturnType<typeof makeAnswers>): Tally {
  const tally = new Tally(CLASSES);
  for (const [i, {label, logits}] of answers.entries()) tally.add(i, label, scoreOf(logits, label));
  return tally;
}

describe('one image', () => {
  test('prediction, confidence, rank and loss follow from the sorted probabilities', () => {
    for (const {label, logits} of makeAnswers('scores', 300)) {
      const order = ranking(logits);
      const p = softmax(logits);
      const score = scoreOf(logits, label);
      expect(score.predicted).toBe(order[0]);
      expect(score.rank).toBe(order.indexOf(label));
      expect(score.confidence).toBeCloseTo(p[order[0]!]!, 12);
      expect(score.loss).toBeCloseTo(-Math.log(p[label]!), 12);
    }
  });
  test('large logits do not overflow', () => {
    const score = scoreOf([1e4, 0, -1e4], 1);
    expect(score).toMatchObject({predicted: 0, confidence: 1, rank: 1, loss: 1e4, finite: true});
  });
  test.each([Number.NaN, Number.POSITIVE_INFINITY])('a logit of %d counts as wrong, whatever the label', (bad) => {
    for (const label of [0, 1, 2]) expect(scoreOf([1, bad, 2], label)).toMatchObject({rank: 3, finite: false});
  });
  test('among some classes: as if the network had no other outputs', () => {
    const answers = makeAnswers('scores', 300);
    for (const {label, logits} of answers) {
      const classes = [...logits.keys()].filter((c) => c === label || c % 3 === 0);
      const masked = Array.from(logits, (x, c) => (classes.includes(c) ? x : -1e300));
      const {predicted, confidence, rank, loss} = scoreAmong(logits, label, classes);
      const slow = scoreOf(masked, label);
      expect([predicted, rank]).toEqual([slow.predicted, slow.rank]);
      expect(confidence).toBeCloseTo(slow.confidence, 12);
      expect(loss).toBeCloseTo(slow.loss, 12);
    }
    expect(scoreAmong([1, Number.NaN, 2], 0, [0, 2])).toMatchObject({finite: false});
    expect(scoreAmong([1, 9, 2], -1, [0, 2])).toMatchObject({predicted: 2, rank: -1});
  });
  test('without a label there is neither rank nor loss', () => {
    expect(scoreOf([1, 2, 3], -1)).toMatchObject({predicted: 2, rank: -1, loss: Number.NaN});
  });
});

describe('tally', () => {
  const answers = makeAnswers('tally', 500);
  const result = tallyOf(answers).result();

  test('top-1, top-5 and cross-entropy', () => {
    const right = (k: number) => answers.filter(({label, logits}) => ranking(logits).slice(0, k).includes(label)).length;
    expect(result.correct1).toBe(right(1));
    expect(result.correct5).toBe(right(5));
    expect(result.top1).toBe(right(1) / 500);
    const loss = answers.reduce((sum, {label, logits}) => sum - Math.log(softmax(logits)[label]!), 0) / 500;
    expect(result.crossEntropy).toBeCloseTo(loss, 10);
  });

  test('expected calibration error: bins filled one after the other', () => {
    const judged = answers.map(({label, logits}) => {
      const best = ranking(logits)[0]!;
      return {confidence: softmax(logits)[best]!, right: best === label};
    });
    let error = 0;
    for (let b = 0; b < CALIBRATION_BINS; b++) {
      const inside = judged.filter((j) => j.confidence > b / CALIBRATION_BINS && j.confidence <= (b + 1) / CALIBRATION_BINS);
      if (inside.length === 0) continue;
      const accuracy = inside.filter((j) => j.right).length / inside.length;
      const confidence = inside.reduce((sum, j) => sum + j.confidence, 0) / inside.length;
      error += (inside.length / judged.length) * Math.abs(accuracy - confidence);
    }
    expect(result.calibrationError).toBeCloseTo(error, 12);
  });

  test('per-class accuracy and confusions add up to the whole', () => {
    for (const {label, images, top1} of result.perClass) {
      const own = answers.filter((a) => a.label === label);
      expect(images).toBe(own.length);
      expect(top1).toBe(own.filter((a) => ranking(a.logits)[0] === label).length / own.length);
    }
    for (const {label, predicted, images} of result.confusions)
      expect(images).toBe(answers.filter((a) => a.label === label && ranking(a.logits)[0] === predicted).length);
    expect(result.confusions.reduce((n, c) => n + c.images, 0)).toBe(500 - result.correct1);
  });

  test('the worst images are the ones with the largest loss', () => {
    const wrong = answers.flatMap(({label, logits}, index) => {
      const {rank, loss} = scoreOf(logits, label);
      return rank > 0 ? [{index, loss}] : [];
    });
    wrong.sort((a, b) => b.loss - a.loss);
    expect(result.worst.map((w) => w.key)).toEqual(wrong.slice(0, result.worst.length).map((w) => w.loss));
  });

  test('a state taken in the middle, through JSON, continues to the same result', () => {
    const first = tallyOf(answers.slice(0, 123));
    const second = new Tally(CLASSES, JSON.parse(JSON.stringify(first.state())));
    for (const [i, {label, logits}] of answers.entries()) if (i >= 123) second.add(i, label, scoreOf(logits, label));
    expect(second.result()).toEqual(result);
    expect(first.result().images).toBe(123);
  });

  test('images without a label are counted and change nothing else', () => {
    const tally = tallyOf(answers);
    tally.add(500, -1, scoreOf([1, 2, 3, 4, 5, 6, 7], -1));
    expect(tally.result()).toEqual({...result, images: 501});
  });
});

describe('two models', () => {
  const a = makeAnswers('pair', 400);
  const b = a.map(({label, logits}, i) => ({label, logits: i % 10 ? logits : makeAnswers(`other${i}`, 1)[0]!.logits}));
  const pair = new PairTally();
  for (const [i, {label, logits}] of a.entries()) {
    const other = b[i]!.logits;
    pair.add(i, label, scoreOf(logits, label), scoreOf(other, label), largestDifference(logits, other));
  }
  const result = pair.result();
  const best = (answers: typeof a) => answers.map(({logits}) => ranking(logits)[0]!);
  const [bestA, bestB] = [best(a), best(b)];

  test('agreement and who was right', () => {
    const count = (f: (i: number) => boolean) => a.filter((_, i) => f(i)).length;
    const right = (predicted: number[], i: number) => predicted[i] === a[i]!.label;
    expect(result.agreement).toBe(count((i) => bestA[i] === bestB[i]) / 400);
    expect(result.bothRight).toBe(count((i) => right(bestA, i) && right(bestB, i)));
    expect(result.onlyA).toBe(count((i) => right(bestA, i) && !right(bestB, i)));
    expect(result.onlyB).toBe(count((i) => !right(bestA, i) && right(bestB, i)));
    expect(result.bothWrong).toBe(count((i) => !right(bestA, i) && !right(bestB, i)));
  });
  test('disagreements are the worst images, and equal images are none', () => {
    const differing = result.worst.filter((w) => w.a.predicted !== w.b.predicted);
    expect(result.worst.slice(0, differing.length)).toEqual(differing);
    expect(result.worst.every((w) => w.difference > 0)).toBe(true);
    expect(result.difference.max).toBe(Math.max(...a.map(({logits}, i) => largestDifference(logits, b[i]!.logits))));
  });
  test('its state survives JSON', () => {
    expect(new PairTally(JSON.parse(JSON.stringify(pair.state()))).result()).toEqual(result);
  });
  test('a number that is not finite is a difference, in one model or in both', () => {
    for (const bad of [Number.NaN, Number.POSITIVE_INFINITY])
      for (const other of [bad, 2]) expect(largestDifference([1, bad, 3], [1, other, 3])).toBe(Number.POSITIVE_INFINITY);
  });
});

describe('statistics', () => {
  test('Wilson: published examples', () => {
    // Newcombe 1998, Statistics in Medicine 17, 857, table I: method 3.
    const cases = [
      [81, 263, 0.2553, 0.3662],
      [15, 148, 0.0624, 0.1605],
      [0, 20, 0, 0.1611],
      [1, 29, 0.0061, 0.1718],
    ] as const;
    for (const [k, n, low, high] of cases) {
      expect(wilson(k, n).low).toBeCloseTo(low, 4);
      expect(wilson(k, n).high).toBeCloseTo(high, 4);
    }
  });
  test('Wilson: the edges solve (p̂ − p)² = z²·p(1 − p)/n, and hold the share', () => {
    fc.assert(
      fc.property(fc.integer({min: 1, max: 5000}), fc.double({min: 0, max: 1, noNaN: true}), (n, share) => {
        const k = Math.round(share * n);
        for (const p of Object.values(wilson(k, n)))
          expect((k / n - p) ** 2 - (1.959963984540054 ** 2 * p * (1 - p)) / n).toBeCloseTo(0, 10);
        expect(wilson(k, n).low).toBeLessThanOrEqual(k / n);
        expect(wilson(k, n).high).toBeGreaterThanOrEqual(k / n);
      }),
    );
  });
  test('McNemar: whole binomial coefficients', () => {
    const choose = (n: bigint, k: bigint): bigint => (k === 0n ? 1n : (choose(n, k - 1n) * (n - k + 1n)) / k);
    for (let n = 0; n <= 40; n++) {
      for (let b = 0; b <= n; b++) {
        let sum = 0n;
        for (let i = 0; i <= Math.min(b, n - b); i++) sum += choose(BigInt(n), BigInt(i));
        expect(mcnemar(b, n - b)).toBeCloseTo(Math.min(1, (2 * Number(sum)) / 2 ** n), 12);
      }
    }
  });
  test('McNemar: thousands of images', () => {
    expect(mcnemar(5000, 5000)).toBe(1);
    expect(mcnemar(0, 2000)).toBe(0); // 2·2⁻²⁰⁰⁰ is less than the smallest number
    expect(mcnemar(4900, 5100)).toBeCloseTo(0.0466, 3); // normal approximation: z = (200 − 1)/100
  });
  test('quantiles: numpy', () => {
    const values = [3, 1, 4, 1, 5, 9, 2, 6];
    expect(median(values)).toBe(3.5);
    expect(quartileRange(values)).toBe(3.5); // numpy: 5.25 − 1.75
    expect(quantile([1, 2, 3, 4], 0.9)).toBeCloseTo(3.7, 12);
    expect(quantile([], 0.5)).toBeNaN();
  });
});

describe('streams', () => {
  test('Largest keeps what sorting keeps', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({min: 0, max: 20})), fc.integer({min: 1, max: 8}), (keys, capacity) => {
        const largest = new Largest<{key: number; at: number}>(capacity);
        for (const [at, key] of keys.entries()) largest.add({key, at});
        const sorted = keys.map((key, at) => ({key, at})).sort((x, y) => y.key - x.key || x.at - y.at);
        expect(largest.items()).toEqual(sorted.slice(0, capacity));
      }),
    );
  });
  test('LogHistogram: quantiles are at most a bin too large', () => {
    const {normal} = random('histogram');
    const values = Array.from({length: 2000}, () => Math.exp(4 * normal() - 6));
    const histogram = new LogHistogram();
    for (const v of values) histogram.add(v);
    const sorted = values.sort((x, y) => x - y);
    for (const q of [0.1, 0.5, 0.9, 0.99, 1]) {
      const exact = sorted[Math.ceil(q * 2000) - 1]!;
      expect(histogram.quantile(q)).toBeGreaterThanOrEqual(exact * (1 - 1e-12));
      expect(histogram.quantile(q)).toBeLessThanOrEqual(exact * 1.037);
    }
    expect(histogram.chart().reduce((n, bar) => n + bar.count, 0)).toBe(2000);
    expect(LogHistogram.from(JSON.parse(JSON.stringify(histogram.state()))).chart()).toEqual(histogram.chart());
  });
  test('LogHistogram: zeros, tiny, huge and infinite numbers have a place', () => {
    const histogram = new LogHistogram();
    for (const v of [0, 0, 0, 1e-40, 2e38, Number.NaN]) histogram.add(v);
    expect(histogram.count).toBe(6);
    expect([0.5, 1].map((q) => histogram.quantile(q))).toEqual([0, Number.POSITIVE_INFINITY]);
    expect([histogram.quantile(4 / 6) / 1e-40, histogram.quantile(5 / 6) / 2e38]).toEqual([
      expect.closeTo(1.02, 1),
      expect.closeTo(1.02, 1),
    ]);
    const counts = histogram.chart().map((b) => b.count);
    expect([counts[0], counts[1], counts.at(-1)]).toEqual([3, 1, 1]); // NaN cannot be drawn
    expect(LogHistogram.from(histogram.state()).state()).toEqual(histogram.state());
  });
});
