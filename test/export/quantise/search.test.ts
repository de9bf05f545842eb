import {random} from '../../../src/core/random.js';
import {agreementOf} from '../../../src/export/quantise/agreement.js';
import {leastThatHolds, rank} from '../../../src/export/quantise/exclude.js';

test('the agreement is that of its definition: mean KL(p ‖ q) and the share with the same top class', () => {
  const r = random('agreement');
  const [images, classes] = [50, 7];
  const logits = () => Float32Array.from({length: images * classes}, () => r.normal() * 3);
  const [a, b] = [logits(), logits()];
  a.set([800, -800, 0], 0); // would overflow without the shift
  let [divergence, same] = [0, 0];
  for (let n = 0; n < images; n++) {
    const softmax = (x: Float32Array) => {
      const row = [...x.subarray(n * classes, (n + 1) * classes)];
      const top = Math.max(...row);
      const total = row.reduce((s, v) => s + Math.exp(v - top), 0);
      return {
        p: row.map((v) => Math.exp(v - top) / total),
        log: row.map((v) => v - top - Math.log(total)),
        best: row.indexOf(top),
      };
    };
    const [p, q] = [softmax(a), softmax(b)];
    divergence += p.p.reduce((s, v, i) => s + (v === 0 ? 0 : v * (p.log[i]! - q.log[i]!)), 0);
    if (p.best === q.best) same++;
  }
  const result = agreementOf(a, b, classes);
  expect(result.images).toBe(images);
  expect(result.divergence).toBeCloseTo(divergence / images, 10);
  expect(result.sameTop1).toBe((100 * same) / images);
  expect(agreementOf(a, a, classes)).toEqual({images, divergence: 0, sameTop1: 100});
});

test.each([Number.NaN, Number.POSITIVE_INFINITY])('%d in the logits agrees with nothing, itself neither', (bad) => {
  const [good, broken] = [Float32Array.of(1, 2, 3, 4), Float32Array.of(1, 2, bad, bad)];
  const nothing = {images: 2, divergence: Number.POSITIVE_INFINITY, sameTop1: 50};
  expect([agreementOf(good, broken, 2), agreementOf(broken, good, 2), agreementOf(broken, broken, 2)]).toEqual([
    nothing,
    nothing,
    nothing,
  ]);
});

test('the shortest list that holds is found, in few trials', async () => {
  for (let count = 1; count <= 40; count++) {
    for (let threshold = 1; threshold <= count + 1; threshold++) {
      let trials = 0;
      const found = await leastThatHolds(count, async (n) => {
        trials++;
        expect(n).toBeLessThanOrEqual(count);
        return n >= threshold;
      });
      expect(found).toBe(threshold > count ? undefined : threshold);
      expect(trials).toBeLessThanOrEqual(2 * Math.ceil(Math.log2(count + 1)) + 2);
    }
  }
});

test('most gain for its cost first; what gains nothing last', () => {
  const candidates = [
    {item: 'large gain, dear', gain: 10, cost: 1000},
    {item: 'harm', gain: -2, cost: 10},
    {item: 'small gain, cheap', gain: 1, cost: 10},
    {item: 'nothing', gain: 0, cost: 1},
  ];
  expect(rank(candidates).map((c) => c.item)).toEqual(['small gain, cheap', 'large gain, dear', 'nothing', 'harm']);
});
