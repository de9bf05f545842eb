import {compareOutputs, OUTPUT_TOLERANCE, OutputsComparison, provesNothing} from '../../src/core/compare-outputs.js';
import {random} from '../../src/core/random.js';

const IMAGES = 6;
const CLASSES = 10;

/** Logits [6, 10] of about `size`. */
function logits(size: number, seed = 'logits', classes = CLASSES): Float64Array {
  const {normal} = random(seed);
  return Float64Array.from({length: IMAGES * classes}, () => size * normal());
}
const against = (reference: Float64Array, actual: Float64Array, tolerance = OUTPUT_TOLERANCE) =>
  compareOutputs(reference, actual, IMAGES, tolerance);

describe.each([1e38, 1e6, 1, 1e-6, 1e-30, 1e-37])('logits of about %d', (size) => {
  const reference = logits(size);
  test('are the same as what float32 makes of them', () => {
    const rounded = reference.map((v) => Math.fround(v * (1 + 2 ** -22)));
    const {verdict, relative} = against(reference, rounded);
    expect([verdict, relative < 1e-6, relative > 1e-8]).toEqual(['same', true, true]);
  });
  test('are another function than their negation, and than ones 2e-4 off', () => {
    expect(
      against(
        reference,
        reference.map((v) => -v),
      ),
    ).toMatchObject({verdict: 'different', exceeding: IMAGES, sameTop1: 0});
    const largest = reference.subarray(10, 20).reduce((most, v) => Math.max(most, Math.abs(v)), 0);
    const moved = reference.map((v, i) => (i === 13 ? v + 2e-4 * Math.max(largest, size) : v));
    expect(against(reference, moved)).toMatchObject({verdict: 'different', exceeding: 1});
  });
});

test('below the smallest normal number digits are lost: what float32 can hold is still told apart', () => {
  const reference = logits(1e-39).map(Math.fround);
  expect(
    against(
      reference,
      reference.map((v) => Math.fround(v + 2 ** -149)),
    ).verdict,
  ).toBe('same');
  expect(
    against(
      reference,
      reference.map((v) => -v),
    ).verdict,
  ).toBe('different');
});

test('one image of large numbers does not excuse the others, and one near zero is not held to its own', () => {
  const reference = logits(1);
  for (let i = 0; i < CLASSES; i++) reference[i]! *= 1e6;
  expect(
    against(
      reference,
      reference.map((v, i) => (i >= CLASSES ? v + 1e-3 : v)),
    ),
  ).toMatchObject({exceeding: IMAGES - 1});
  const single = logits(1, 'one logit', 1);
  single[3] = 1e-9; // between two classes
  expect(
    against(
      single,
      single.map((v) => v + 1e-6),
    ).verdict,
  ).toBe('same');
  expect(
    against(
      single,
      single.map((v) => v + 1e-3),
    ).verdict,
  ).toBe('different');
});

test('another top class: by rounding it is the same, beyond it is not', () => {
  const rows = [1, 2, 3, 4, 5, 6].flatMap((v) => [v, v, -v]);
  const swap = (by: number) => rows.map((v, i) => (i === 1 ? v + by : i === 0 ? v - by / 2 : v));
  expect(compareOutputs(rows, swap(1.9e-4), IMAGES, OUTPUT_TOLERANCE)).toMatchObject({
    verdict: 'same',
    otherTop1: 0,
    sameTop1: 5,
  });
  // 3e-4 is allowed: |Δ| of 2.5e-4 is within it, a lead of 3.75e-4 for the other class is not
  expect(compareOutputs(rows, swap(2.5e-4), IMAGES, OUTPUT_TOLERANCE)).toMatchObject({verdict: 'different', otherTop1: 1});
});

test.each([Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY])('%d is never the same, even in both', (value) => {
  const reference = logits(1).map((v, i) => (i === 25 ? value : v));
  for (const tolerance of [OUTPUT_TOLERANCE, Number.POSITIVE_INFINITY]) {
    const d = against(reference, reference.slice(), tolerance);
    expect(d).toMatchObject({
      verdict: 'different',
      exceeding: 1,
      nonFinite: 1,
      sameTop1: 5,
      maxAbs: Number.POSITIVE_INFINITY,
      relative: Number.POSITIVE_INFINITY,
    });
    expect(d.constant).toEqual({reference: false, actual: false});
    for (const other of [against(logits(1), reference, tolerance), against(reference, logits(1), tolerance)])
      expect(other).toMatchObject({verdict: 'different', nonFinite: 1});
  }
});

test('outputs that do not depend on the input prove nothing', () => {
  const row = logits(1).subarray(0, CLASSES);
  const constant = Float64Array.from({length: IMAGES * CLASSES}, (_, i) => row[i % CLASSES]!);
  const zeros = new Float64Array(IMAGES * CLASSES);
  const rounded = constant.map((v, i) => v * (1 + 1e-7 * (i % 3)));
  for (const [a, b] of [
    [constant, constant],
    [constant, rounded],
    [zeros, zeros],
  ] as const) {
    expect(against(a, b).verdict).toBe('constant');
    expect(provesNothing(against(a, b))).toBe('the outputs are the same for every input, to a ten-thousandth of the largest');
  }
  expect(against(constant, zeros).verdict).toBe('different');
  // Where differences are only measured, a model that has died is still noticed.
  expect(provesNothing(against(logits(1), constant, Number.POSITIVE_INFINITY))).toBe(
    'the outputs of the model under test are the same for every input, to a ten-thousandth of the largest',
  );
  expect(provesNothing(against(constant, logits(1), Number.POSITIVE_INFINITY))).toContain('of the reference');
  expect(provesNothing(against(logits(1), logits(1)))).toBeUndefined();
});

test('no image and one image show nothing', () => {
  expect(provesNothing(new OutputsComparison(1).result())).toBe('no image was compared');
  expect(provesNothing(compareOutputs([1, 2], [1, 2], 1, 1))).toContain('one image alone');
});

test('outputs that are not equally many are a mistake of the caller', () => {
  expect(() => compareOutputs([1, 2], [1, 2, 3, 4], 2, 1)).toThrow('cannot compare 4 outputs');
  expect(() => new OutputsComparison(1).add([1, 2], [1])).toThrow('cannot compare 1 outputs with 2');
});

test('a huge offset hides what is compared, and is named', () => {
  const row = (image: number) => Float64Array.of(1e6 + image, 1e6 - image);
  const rows = Float64Array.from([0, 1, 2, 3].flatMap((image) => [...row(image)]));
  const said = provesNothing(compareOutputs(rows, rows, 4, OUTPUT_TOLERANCE));
  expect(said).toMatch(
    /the same for every input, .*: they vary by 3 around numbers of up to 1000000, of which float32 keeps seven/,
  );
});
