import {editDistance, nearest} from '../../src/core/nearest.js';
import {fillUniform, fnv1a, mix32, random} from '../../src/core/random.js';

test('the hashes, against published vectors', () => {
  // FNV-1a: http://www.isthe.com/chongo/src/fnv/test_fnv.c; the finaliser: fmix32 of MurmurHash3
  expect(['', 'a', 'foobar', 'dev/input'].map(fnv1a)).toEqual([0x811c9dc5, 0xe40c292c, 0xbf9cf968, 0xe349fcef]);
  expect([0, 1, 0xffffffff].map(mix32)).toEqual([0, 0x514e28b7, 0x81f16f39]);
});

test('a stream depends on its seed alone', () => {
  const numbers = (seed: number | string) => {
    const r = random(seed);
    return Array.from({length: 5}, () => r.uniform());
  };
  expect(numbers(1)).toEqual(numbers(1));
  expect(numbers('dev')).toEqual(numbers('dev'));
  expect(numbers(1)).not.toEqual(numbers(2));
  expect(numbers('1')).not.toEqual(numbers(1));
});

test('uniform numbers fill [0, 1), integers their range, normal numbers have mean 0 and deviation 1', () => {
  const r = random('moments');
  const count = 20_000;
  const draw = (f: () => number) => Array.from({length: count}, f);
  const mean = (v: readonly number[]) => v.reduce((a, b) => a + b) / v.length;
  const uniform = draw(r.uniform);
  expect([Math.min(...uniform) >= 0, Math.max(...uniform) < 1]).toEqual([true, true]);
  expect(mean(uniform)).toBeCloseTo(0.5, 2); // 5 standard errors are 0.01
  const tally = [0, 0, 0];
  for (const i of draw(() => r.integer(3))) tally[i]!++;
  for (const n of tally) expect(Math.abs(n / count - 1 / 3)).toBeLessThan(0.017);
  const normal = draw(r.normal);
  expect(Math.abs(mean(normal))).toBeLessThan(0.036);
  expect(Math.abs(mean(normal.map((v) => v * v)) - 1)).toBeLessThan(0.05);
});

test('filling is drawing', () => {
  const filled = new Float32Array(100);
  fillUniform(filled, 'seed', -2, 3);
  const r = random('seed');
  expect([...filled]).toEqual(Array.from({length: 100}, () => Math.fround(-2 + 5 * r.uniform())));
});

test('edit distance, and the nearest name when it is near', () => {
  const pairs: [string, string, number][] = [
    ['', '', 0],
    ['abc', '', 3],
    ['kitten', 'sitting', 3],
    ['flaw', 'lawn', 2],
  ];
  for (const [a, b, distance] of pairs)
    expect([a, b, editDistance(a, b), editDistance(b, a)]).toEqual([a, b, distance, distance]);
  expect(nearest('resnet81', ['resnet18', 'resnet34', 'mobilenet'])).toBe('resnet18');
  expect(nearest('fc', ['classifier.weight'])).toBeUndefined();
  expect(nearest('x', [])).toBeUndefined();
});
