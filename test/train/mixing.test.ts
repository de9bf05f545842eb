/** Draws of mixup and CutMix, against the distributions they are from. */
import {random} from '../../src/core/random.js';
import {drawMix, type Mixing, symmetricBeta} from '../../src/train/run/mixing.js';

const N = 4000;
/** Kolmogorov and Smirnov's distance is beyond 2/√N with a probability of 0.07 %. */
const BOUND = 2 / Math.sqrt(N);
const both: Mixing = {mixup: 0.8, cutmix: 1, probability: 1, switchProbability: 0.5};
const draws = (mixing: Mixing, side = 48) =>
  Array.from({length: N}, (_, batch) => drawMix(mixing, {seed: 3, epoch: 1, batch, side}));

/** ∫ (t(1 − t))^(a−1) dt from 0 to x, normalised; t = sin²φ takes away the poles at the ends. */
function betaCdf(a: number, x: number): number {
  const integral = (end: number) => {
    const steps = 2000;
    let sum = 0;
    for (let i = 0; i < steps; i++) {
      const phi = ((i + 0.5) / steps) * end;
      sum += (Math.sin(phi) * Math.cos(phi)) ** (2 * a - 1);
    }
    return (sum * end) / steps;
  };
  return integral(Math.asin(Math.sqrt(x))) / integral(Math.PI / 2);
}

test.each([0.2, 0.8, 1, 3])('Beta(a, a) for a = %p', (a) => {
  const r = random(`beta ${a}`);
  const values = Array.from({length: N}, () => symmetricBeta(r, a)).sort((x, y) => x - y);
  const distance = Math.max(...values.map((v, i) => (i % 20 === 0 ? Math.abs(betaCdf(a, v) - (i + 0.5) / N) : 0)));
  expect(distance).toBeLessThan(BOUND);
});

test('half of the batches get a box, whose area says how much of the label is left', () => {
  const mixes = draws(both);
  const cut = mixes.flatMap((m) => (m?.kind === 'cutmix' ? [m] : []));
  expect(Math.abs(cut.length / N - 0.5)).toBeLessThan(0.04); // 5 standard deviations
  for (const {lam, box} of cut) {
    const [top, bottom, left, right] = box;
    expect(top >= 0 && top <= bottom && bottom <= 48 && left >= 0 && left <= right && right <= 48).toBe(true);
    expect(lam).toBe(1 - ((bottom - top) * (right - left)) / 48 ** 2);
  }
  expect(draws(both)).toEqual(mixes);
});

test('each alone, never, and now and then', () => {
  const kinds = (mixing: Partial<Mixing>) => new Set(draws({...both, ...mixing}).map((m) => m?.kind));
  expect(kinds({mixup: 0})).toEqual(new Set(['cutmix']));
  expect(kinds({cutmix: 0})).toEqual(new Set(['mixup']));
  expect(kinds({mixup: 0, cutmix: 0})).toEqual(new Set([undefined]));
  const mixed = draws({...both, probability: 0.3}).filter((m) => m !== undefined).length;
  expect(Math.abs(mixed / N - 0.3)).toBeLessThan(0.04); // 5 standard deviations
});

test('boxes within bounds', () => {
  for (const mix of draws({...both, mixup: 0, minmax: [0.25, 0.75]})) {
    if (mix?.kind !== 'cutmix') throw new Error('no box');
    const [top, bottom, left, right] = mix.box;
    for (const length of [bottom - top, right - left]) {
      expect(length).toBeGreaterThanOrEqual(12);
      expect(length).toBeLessThan(36);
    }
  }
});
