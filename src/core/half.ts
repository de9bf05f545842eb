/** IEEE 754 binary16 and bfloat16 to float32: exact, because both are subsets of float32. And float32 → binary16, round to nearest even. */

const scratch = new ArrayBuffer(4);
const asFloat = new Float32Array(scratch);
const asBits = new Uint32Array(scratch);

/** One binary16 bit pattern to its value. */
export function halfToNumber(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >>> 10) & 0x1f;
  const fraction = bits & 0x3ff;
  if (exponent === 0) return sign * fraction * 2 ** -24; // zero and subnormals
  if (exponent === 0x1f) return fraction ? Number.NaN : sign * Number.POSITIVE_INFINITY;
  return sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
}

/** The value, rounded to nearest even, as a binary16 bit pattern. Values from 65520 up become infinity, as IEEE 754 asks. */
export function numberToHalf(value: number): number {
  asFloat[0] = value;
  const bits = asBits[0]!;
  const sign = (bits >>> 16) & 0x8000;
  const magnitude = bits & 0x7fffffff;
  if (magnitude > 0x7f800000) return sign | 0x7e00; // NaN
  if (magnitude >= 0x477ff000) return sign | 0x7c00; // ≥ 65520
  if (magnitude < 0x38800000) {
    // Below the smallest normal: scale so that one unit is one subnormal step, and round half to even.
    const steps = Math.abs(asFloat[0]!) * 2 ** 24;
    const floor = Math.floor(steps);
    const rest = steps - floor;
    return sign | (rest > 0.5 || (rest === 0.5 && floor % 2 === 1) ? floor + 1 : floor);
  }
  const rounded = magnitude + 0xfff + ((magnitude >>> 13) & 1);
  return sign | ((rounded - 0x38000000) >>> 13);
}

let halfTable: Float32Array | undefined;

/** Float16 bit patterns to float32, by a table of all 65,536 of them. */
export function halfToFloat32(bits: Uint16Array): Float32Array {
  halfTable ??= Float32Array.from({length: 65536}, (_, i) => halfToNumber(i));
  const out = new Float32Array(bits.length);
  for (let i = 0; i < bits.length; i++) out[i] = halfTable[bits[i]!]!;
  return out;
}

/** bfloat16 is the upper half of a float32. */
export function bfloat16ToFloat32(bits: Uint16Array): Float32Array {
  const out = new Uint32Array(bits.length);
  for (let i = 0; i < bits.length; i++) out[i] = bits[i]! << 16;
  return new Float32Array(out.buffer);
}

export const float32ToHalf = (values: ArrayLike<number>): Uint16Array => Uint16Array.from(values, numberToHalf);
