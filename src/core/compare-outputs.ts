/**
 * Do two models give the same outputs? ONE rule for every place that says "proven", "equal" or "checked": the proof of a conversion,
 * `gpd verify`, and the check of exported forms.
 *
 * An image's outputs are the same if every number of both models is finite, none is further apart than `allowed`, and the class on
 * top is the same, or the two rivals are no further apart than `allowed` in either model:
 *
 *     allowed = tolerance · max(largest |output| of the image, that of the median image, 2⁻¹²⁶)      all of the reference
 *
 * There is no absolute floor: logits of 1e-9 are judged as strictly as those of 10. The median image counts because one output can
 * be near zero by cancellation (a single logit between two classes) while it carries the rounding errors of its neighbours; it is
 * the median, so that one image of large numbers does not excuse the others. Below 2⁻¹²⁶ float32 loses digits.
 *
 * Outputs that do not depend on the input prove nothing, however equal: any two dead networks have them.
 */
import {SMALLEST_NORMAL} from './compare.js';

/** Rounding in float32 leaves about 1e-6, 3e-5 at worst; each of 25 single mistakes in a conversion exceeds 1e-4. */
export const OUTPUT_TOLERANCE = 1e-4;

/** One image: its outputs in the reference and in the model under test. */
export interface ImageDifference {
  /** Largest |Δ|; infinite where a number of either model is not finite. */
  readonly maxAbs: number;
  /** maxAbs over the scale of the image: `allowed` without the tolerance. */
  readonly relative: number;
  /** Largest finite |output| of the reference. */
  readonly largest: number;
  readonly allowed: number;
  /** The same output is the largest in both; false where a number is not finite. */
  readonly sameTop1: boolean;
  /** The top class differs, and not by rounding: the two classes are further apart than `allowed` in one of the models. */
  readonly otherTop1: boolean;
  /** Every number of both models is finite. */
  readonly finite: boolean;
  readonly ok: boolean;
}

/**
 * same: every image is; constant: every image is, but the outputs of a model do not depend on the input; nothing: there was no image.
 * Only `same` shows anything: see `provesNothing`.
 */
export type Verdict = 'same' | 'different' | 'constant' | 'nothing';

export interface OutputsDifference {
  readonly verdict: Verdict;
  /** In the order they came. */
  readonly images: readonly ImageDifference[];
  /** Of the worst image. */
  readonly maxAbs: number;
  readonly relative: number;
  /** Images that are not the same. */
  readonly exceeding: number;
  readonly sameTop1: number;
  /** Images whose top class differs by more than rounding. */
  readonly otherTop1: number;
  /** Images with a number that is not finite, in either model. */
  readonly nonFinite: number;
  /** The outputs of a model vary from image to image by less than 1e-4 of its largest. One image alone varies in nothing. */
  readonly constant: {readonly reference: boolean; readonly actual: boolean};
  /** By how much an output varies from image to image at most, and the largest of all, of the model whose outputs vary the least. */
  readonly spread: {readonly variation: number; readonly largest: number};
}

type Numbers = ArrayLike<number>;
type Measured = Pick<ImageDifference, 'maxAbs' | 'largest' | 'sameTop1' | 'finite'> & {rivals: number};

/** Where the largest number is; of equal ones the first, as in PyTorch. */
export function argmax(values: Numbers): number {
  let best = 0;
  for (let i = 1; i < values.length; i++) if (values[i]! > values[best]!) best = i;
  return best;
}

function measure(reference: Numbers, actual: Numbers): Measured {
  let [maxAbs, largest, finite] = [0, 0, true];
  for (let i = 0; i < reference.length; i++) {
    const [want, got] = [reference[i]!, actual[i]!];
    if (!Number.isFinite(want) || !Number.isFinite(got)) finite = false;
    maxAbs = Math.max(maxAbs, Math.abs(want - got));
    if (Number.isFinite(want)) largest = Math.max(largest, Math.abs(want));
  }
  if (!finite) return {maxAbs: Number.POSITIVE_INFINITY, largest, finite, sameTop1: false, rivals: Number.POSITIVE_INFINITY};
  const [a, b] = [argmax(reference), argmax(actual)];
  const rivals = Math.max(reference[a]! - reference[b]!, actual[b]! - actual[a]!);
  return {maxAbs, largest, finite, sameTop1: a === b, rivals: a === b ? 0 : rivals};
}

/** Whether a model's outputs depend on its input, in memory of one image; only finite ones are given to it. */
class Spread {
  private low = new Float64Array();
  private high = new Float64Array();
  private largest = SMALLEST_NORMAL;

  add(values: Numbers): void {
    if (this.low.length === 0) [this.low, this.high] = [Float64Array.from(values), Float64Array.from(values)];
    const {low, high} = this;
    for (let i = 0; i < values.length; i++) {
      const value = values[i]!;
      if (value < low[i]!) low[i] = value;
      if (value > high[i]!) high[i] = value;
      this.largest = Math.max(this.largest, Math.abs(value));
    }
  }
  get constant(): boolean {
    return this.low.length > 0 && !(this.variation > OUTPUT_TOLERANCE * this.largest);
  }
  get variation(): number {
    return this.low.reduce((most, value, i) => Math.max(most, this.high[i]! - value), 0);
  }
  get size(): {variation: number; largest: number} {
    return {variation: this.variation, largest: this.largest};
  }
}

function insertSorted(sorted: number[], value: number): void {
  let [low, high] = [0, sorted.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (sorted[middle]! <= value) low = middle + 1;
    else high = middle;
  }
  sorted.splice(low, 0, value);
}

/** Compares image by image as the outputs come; memory grows by a few numbers with each image. */
export class OutputsComparison {
  private readonly measured: Measured[] = [];
  private readonly reference = new Spread();
  private readonly actual = new Spread();
  /** Sizes of the images that are finite, ascending. */
  private readonly sizes: number[] = [];
  private worstPlace: number | undefined;

  /** `tolerance`: `OUTPUT_TOLERANCE` for float32; infinite where differences are measured and only finiteness is judged. */
  constructor(private readonly tolerance: number) {}

  /** The outputs of one image; gives its place in `images`. Throws Error where they are not equally many. */
  add(reference: Numbers, actual: Numbers): number {
    if (reference.length !== actual.length) throw new Error(`cannot compare ${actual.length} outputs with ${reference.length}`);
    const own = measure(reference, actual);
    const place = this.measured.push(own) - 1;
    if (own.finite) insertSorted(this.sizes, own.largest);
    const worst = this.worst === undefined ? undefined : this.measured[this.worst]!;
    if (!worst || this.badness(own) > this.badness(worst)) this.worstPlace = place;
    if (!own.finite) return place;
    this.reference.add(reference);
    this.actual.add(actual);
    return place;
  }

  /** The place of the worst image so far. */
  get worst(): number | undefined {
    return this.worstPlace;
  }
  private badness(m: Measured): number {
    return Math.max(m.maxAbs, m.rivals) / this.scaleOf(m);
  }
  private scaleOf({largest}: Measured): number {
    const median = this.sizes[(this.sizes.length - 1) >> 1] ?? 0; // the lower of two: the stricter
    return Math.max(largest, median, SMALLEST_NORMAL);
  }

  result(): OutputsDifference {
    const {measured, tolerance} = this;
    const images = measured.map((m) => judge(m, this.scaleOf(m), tolerance));
    const count = (is: (image: ImageDifference) => boolean) => images.filter(is).length;
    const constant = {reference: this.reference.constant, actual: this.actual.constant};
    const exceeding = count(({ok}) => !ok);
    const spreads = [this.reference.size, this.actual.size];
    const spread = spreads.reduce((p, q) => (q.variation * p.largest < p.variation * q.largest ? q : p));
    return {
      spread,
      verdict: verdictOf(images.length, exceeding, constant),
      images,
      maxAbs: images.reduce((most, {maxAbs}) => Math.max(most, maxAbs), 0),
      relative: images.reduce((most, {relative}) => Math.max(most, relative), 0),
      exceeding,
      sameTop1: count(({sameTop1}) => sameTop1),
      otherTop1: count(({otherTop1}) => otherTop1),
      nonFinite: count(({finite}) => !finite),
      constant,
    };
  }
}

function judge({maxAbs, largest, sameTop1, finite, rivals}: Measured, scale: number, tolerance: number): ImageDifference {
  const allowed = tolerance * scale;
  const otherTop1 = finite && rivals > allowed;
  const ok = finite && maxAbs <= allowed && !otherTop1;
  return {maxAbs, relative: maxAbs / scale, largest, allowed, sameTop1, otherTop1, finite, ok};
}

function verdictOf(images: number, exceeding: number, constant: OutputsDifference['constant']): Verdict {
  if (images === 0) return 'nothing';
  if (exceeding > 0) return 'different';
  return constant.reference || constant.actual ? 'constant' : 'same';
}

/** Compares two arrays of outputs, `images` rows in each. */
export function compareOutputs(reference: Numbers, actual: Numbers, images: number, tolerance: number): OutputsDifference {
  if (reference.length !== actual.length || reference.length % images !== 0)
    throw new Error(`cannot compare ${actual.length} outputs of ${images} images with ${reference.length}`);
  const comparison = new OutputsComparison(tolerance);
  const width = reference.length / images;
  const row = (all: Numbers, i: number) => Array.prototype.slice.call(all, i * width, (i + 1) * width) as number[];
  for (let i = 0; i < images; i++) comparison.add(row(reference, i), row(actual, i));
  return comparison.result();
}

/** Why outputs that are within the bound prove nothing; undefined where they differ, or where they do show that they are the same. */
export function provesNothing({verdict, images, constant, spread}: OutputsDifference): string | undefined {
  if (verdict === 'nothing') return 'no image was compared';
  if (verdict !== 'constant') return undefined;
  if (images.length === 1) return 'one image alone cannot show that the outputs depend on it';
  const both = constant.reference && constant.actual;
  const same = `the outputs ${both ? '' : `of the ${constant.actual ? 'model under test' : 'reference'} `}are the same for every input, to a ten-thousandth of the largest`;
  const {variation, largest} = spread;
  return variation > 0
    ? `${same}: they vary by ${short(variation)} around numbers of up to ${short(largest)}, of which float32 keeps seven digits`
    : same;
}
const short = (x: number): string => String(Number(x.toPrecision(2)));
