/**
 * The loops of the JPEG decoder as WebAssembly: plain JavaScript takes 2.4 ms for the Huffman codes alone of a 500x375 photograph of
 * ImageNet (115 KB), because it has neither 64-bit integers nor unchecked memory. The entropy-coded bytes come reversed, so that an
 * unaligned little-endian load has the next byte on top.
 */
import * as w from '../wasm.js';
import {LOOKAHEAD} from './huffman.js';
import {at, blockFields, COEFFICIENT_BLOCK_BYTES, job} from './layout.js';

const range = (n: number) => Array.from({length: n}, (_, i) => i);
const zero = w.constant(0);
const step = (local: number, by: w.Code) => w.set(local, w.add(w.get(local), by));
/** Reads a field of a record of i32s at an address. */
const field = (record: w.Code, index: number) => w.load32(record, 4 * index);

/** Bytes below the end of the entropy code that a loop may read before it looks whether it is behind the end: an MCU has at most 10 · 64 codes of 27 bits. */
export const GUARD_BYTES = 4096;

/**
 * Entropy-coded bytes [source, …) go to target - 1, target - 2, …, without the zeros that are stuffed behind 0xff. Stops at a marker or at
 * `end`; both places are left at `stopped`. 16 bytes at once where none is 0xff.
 */
function unstuff(): w.WasmFunction {
  const [source, end, target, byte, v] = range(5) as [number, number, number, number, number];
  const reversed = range(16).map((i) => 15 - i);
  const append = (value: w.Code, used: number) => [
    ...step(target, w.constant(-1)),
    ...w.storeByte(w.get(target), value),
    ...step(source, w.constant(used)),
  ];
  const fast = w.block(
    w.forever(
      w.leaveIf(1, w.lessThan(w.get(end), w.add(w.get(source), w.constant(16)))),
      w.set(v, w.load128(w.get(source))),
      w.leaveIf(1, w.anyTrue(w.equal8x16(w.get(v), w.splatByte(w.constant(0xff))))),
      step(target, w.constant(-16)),
      w.store128(w.get(target), w.shuffle(w.get(v), w.get(v), reversed)),
      step(source, w.constant(16)),
    ),
  );
  const body = w.block(
    w.forever(
      fast,
      w.leaveIf(1, w.isZero(w.lessThan(w.get(source), w.get(end)))),
      w.set(byte, w.loadByte(w.get(source))),
      w.when(
        w.equal(w.get(byte), w.constant(0xff)),
        [...w.leaveIf(2, w.loadByte(w.get(source), 1)), ...append(w.get(byte), 2)],
        append(w.get(byte), 1),
      ),
    ),
  );
  const leave = [...w.store32(zero, w.get(source), at.stopped), ...w.store32(zero, w.get(target), at.stopped + 4)];
  return {name: 'unstuff', parameters: 3, locals: {i32: 1, v128: 1}, body: [...body, ...leave]};
}

const narrowLocals = ['address', 'mcu', 'record', 'k', 'short', 'long', 'y', 'out', 'rows', 'stride', 'value'] as const;
const wideLocals = ['bits', 'count', 'entry', 'shifted', 'mask'] as const;
const VECTORS = 5 + 8;
const local = Object.fromEntries([...narrowLocals, ...wideLocals].map((name, i) => [name, i])) as Record<
  (typeof narrowLocals)[number] | (typeof wideLocals)[number],
  number
>;
const firstVector = narrowLocals.length + wideLocals.length;
const [splat, low, high, rounding, spare] = range(5).map((i) => firstVector + i) as [number, number, number, number, number];
/** Eight vectors that stay in registers during a pass. */
const kept = range(8).map((i) => firstVector + 5 + i);
const L = (name: keyof typeof local) => w.get(local[name]);

/**
 * At least 56 bits are in the buffer afterwards: enough for two symbols of 27. What is beyond them is there already and is or-ed again.
 * Of `count` only the lowest six bits mean something: shifts look at no others.
 */
const refill: w.Code = [
  ...w.set(local.bits, w.or64(L('bits'), w.shiftRightUnsigned64(w.load64(L('address')), L('count')))),
  ...w.set(
    local.address,
    w.subtract(
      L('address'),
      w.wrap(w.shiftRightUnsigned64(w.and64(w.xor64(L('count'), w.constant64(-1)), w.constant64(63)), w.constant64(3))),
    ),
  ),
  ...w.set(local.count, w.or64(L('count'), w.constant64(56))),
];

/** The entry of the next code: `huffman.ts`. */
const nextEntry: w.Code = [
  ...w.set(
    local.entry,
    w.load32To64(
      w.add(L('short'), w.multiply(w.wrap(w.shiftRightUnsigned64(L('bits'), w.constant64(64 - LOOKAHEAD))), w.constant(4))),
    ),
  ),
  ...w.when(
    w.isZero64(L('entry')),
    w.set(
      local.entry,
      w.load32To64(w.add(L('long'), w.multiply(w.wrap(w.shiftRightUnsigned64(L('bits'), w.constant64(48))), w.constant(4)))),
    ),
  ),
];
/** The value behind the code: its bits as they are, or, where the first is 0, their complement negated. */
const value: w.Code = [
  ...w.set(local.shifted, w.shiftLeft64(L('bits'), w.shiftRightUnsigned64(L('entry'), w.constant64(8)))),
  ...w.set(local.mask, w.xor64(w.shiftRight64(L('shifted'), w.constant64(63)), w.constant64(-1))),
  ...w.set(
    local.value,
    w.subtract(
      w.xor(
        w.wrap(
          w.shiftRightUnsigned64(
            w.shiftRightUnsigned64(w.xor64(L('shifted'), L('mask')), w.constant64(1)),
            w.shiftRightUnsigned64(L('entry'), w.constant64(16)),
          ),
        ),
        w.wrap(L('mask')),
      ),
      w.wrap(L('mask')),
    ),
  ),
];
const consume: w.Code = [
  ...w.set(local.bits, w.shiftLeft64(L('bits'), L('entry'))),
  ...w.set(local.count, w.subtract64(L('count'), L('entry'))),
];
const advance = w.wrap(w.shiftRightUnsigned64(L('entry'), w.constant64(24)));

/** A block's first coefficient, a difference to the one before of its component. Bits for one more symbol are left. */
const readDc: w.Code = [
  ...refill,
  ...w.set(local.short, field(L('record'), blockFields.dcShort)),
  ...w.set(local.long, field(L('record'), blockFields.dcLong)),
  ...nextEntry,
  ...value,
  ...consume,
  ...w.set(local.k, field(L('record'), blockFields.prediction)), // an address here
  ...step(local.value, w.load32(L('k'))),
  ...w.store32(L('k'), L('value')),
  ...w.set(local.k, advance), // 0, or no code
];

/** The other codes, with something done for each. Leaves `k` at 63, or at 128 and the last coefficient's position; else the code is damaged. */
function readAc(value: w.Code, store: w.Code): w.Code {
  const symbol = [...nextEntry, ...value, ...consume, ...step(local.k, advance), ...store];
  const done = w.lessThan(w.constant(62), L('k'));
  return [
    ...w.set(local.short, field(L('record'), blockFields.acShort)),
    ...w.set(local.long, field(L('record'), blockFields.acLong)),
    ...w.block(w.leaveIf(0, done), w.forever(symbol, w.leaveIf(1, done), refill, symbol, w.leaveIf(1, done))),
  ];
}

const interleave = (half: 0 | 4) => range(8).flatMap((i) => [0, 1].map((byte) => 2 * (half + (i >> 1)) + byte + (i % 2) * 16));

/** Sums of products with pairs of rows or columns, from `first` on; `round` was set before. */
function transform(pairs: number, factor: (pair: number) => w.Code, isWhole: boolean): w.Code {
  const sum = (target: number, pair: number, vector: number) => {
    const product = w.dot16x8(w.get(splat), w.get(vector));
    return w.set(target, w.add32x4(pair === 0 ? w.get(rounding) : w.get(target), product));
  };
  return range(pairs).flatMap((pair) => [
    ...w.set(splat, factor(pair)),
    ...sum(low, pair, kept[2 * pair]!),
    ...(isWhole ? sum(high, pair, kept[2 * pair + 1]!) : []),
  ]);
}

const VERTICAL_SHIFT = 11; // of 15 fraction bits: four stay
const HORIZONTAL_SHIFT = 19;
/** A hundredth of a level: the weights of a constant are rounded down, and its frequent halves must not fall short by that. */
const TIE = 5000;

/**
 * Coefficients to samples: rows = V · (C ∘ Q), samples = rows · Hᵀ + 128, with matrices of 15 fraction bits, so that any scale is the same
 * loop. `pairs` of rows and columns of coefficients are looked at: the others are zero. A row of 8 samples is stored at once; what is
 * too much is overwritten by the next block.
 */
function inverseTransform(pairs: 2 | 4): w.Code {
  const isWhole = pairs === 4;
  const row = (v: number) =>
    w.multiply16x8(w.load128(zero, at.coefficients + 16 * v), w.load128(field(L('record'), blockFields.quantisation), 16 * v));
  const shifted = (vector: number, by: number) => w.shiftRight32x4(w.get(vector), w.constant(by));
  const prepare = range(pairs).flatMap((pair) => [
    ...w.set(spare, row(2 * pair)),
    ...w.set(splat, row(2 * pair + 1)),
    ...w.set(kept[2 * pair]!, w.shuffle(w.get(spare), w.get(splat), interleave(0))),
    ...(isWhole ? w.set(kept[2 * pair + 1]!, w.shuffle(w.get(spare), w.get(splat), interleave(4))) : []),
  ]);
  const rowsPass = [
    ...w.set(rounding, w.splat32(w.constant(1 << (VERTICAL_SHIFT - 1)))),
    ...w.set(local.short, field(L('record'), blockFields.vertical)),
    ...w.set(local.y, zero),
    ...w.repeatWhile(
      w.lessThan(L('y'), L('rows')),
      transform(pairs, (pair) => w.load32Splat(w.add(L('short'), L('y')), 4 * pair), isWhole),
      w.store128(L('y'), w.narrow32to16(shifted(low, VERTICAL_SHIFT), shifted(isWhole ? high : low, VERTICAL_SHIFT)), at.rows),
      step(local.y, w.constant(16)),
    ),
  ];
  const words = w.narrow32to16(shifted(low, HORIZONTAL_SHIFT), shifted(high, HORIZONTAL_SHIFT));
  const columnsPass = (half: 0 | 1) => [
    ...range(2 * pairs).flatMap((i) => w.set(kept[i]!, w.load128(L('short'), 128 * half + 16 * i))),
    ...w.set(
      local.out,
      w.add(field(L('record'), blockFields.target), w.multiply(L('mcu'), field(L('record'), blockFields.step))),
    ),
    ...(half === 0 ? [] : step(local.out, w.constant(8))),
    ...w.set(local.y, zero),
    ...w.repeatWhile(
      w.lessThan(L('y'), L('rows')),
      transform(pairs, (pair) => w.load32Splat(L('y'), at.rows + 4 * pair), true),
      w.storeLowest64(L('out'), w.narrow16to8(words, words)),
      step(local.out, L('stride')),
      step(local.y, w.constant(16)),
    ),
  ];
  return [
    ...prepare,
    ...w.set(local.rows, field(L('record'), blockFields.rows)),
    ...rowsPass,
    ...w.set(rounding, w.splat32(w.constant((128 << HORIZONTAL_SHIFT) + (1 << (HORIZONTAL_SHIFT - 1)) + TIE))),
    ...w.set(local.short, field(L('record'), blockFields.horizontal)),
    ...w.set(local.stride, field(L('record'), blockFields.stride)),
    ...columnsPass(0),
    ...w.when(field(L('record'), blockFields.isWide), columnsPass(1)),
  ];
}

/** The first coefficients in zigzag order lie in the first four rows and columns. */
const FEW = 10;

/** MCUs [mcu, end) of a row of them, as the record `job` says. Samples are made for MCUs [first, first + needed) only. */
function decode(): w.WasmFunction {
  const ofJob = (index: number) => field(zero, index + at.job / 4);
  const fail = [...w.store32(zero, w.constant(1), at.job + 4 * job.failed), ...w.finish];
  const clear = range(8).flatMap((v) => w.store128(zero, w.splat32(zero), at.coefficients + 16 * v));
  const isNeeded = w.lessThanUnsigned(w.subtract(L('mcu'), ofJob(job.first)), ofJob(job.needed));
  const isFew = w.lessThanUnsigned(w.subtract(L('k'), w.constant(128)), w.constant(FEW));
  const isDamaged = w.lessThanUnsigned(w.subtract(L('k'), w.constant(64)), w.constant(64));
  const transformed = [
    ...w.store16(zero, L('value'), at.coefficients),
    ...readAc(value, w.store16(w.loadByte(L('k'), at.natural), L('value'), at.coefficients)),
    ...w.when(isFew, inverseTransform(2), inverseTransform(4)),
    ...clear,
  ];
  const block = [
    ...readDc,
    ...w.when(isNeeded, transformed, readAc([], [])),
    ...w.when(isDamaged, fail),
    ...step(local.record, w.constant(COEFFICIENT_BLOCK_BYTES)),
  ];
  const body = [
    ...clear,
    ...w.set(local.address, ofJob(job.address)),
    ...w.set(local.count, w.extend(ofJob(job.count))),
    ...w.set(local.bits, w.load64(zero, at.job + 4 * job.bits)),
    ...w.set(local.mcu, ofJob(job.mcu)),
    ...w.repeatWhile(
      w.lessThan(L('mcu'), ofJob(job.end)),
      w.set(local.record, ofJob(job.blocks)),
      w.repeatWhile(w.lessThan(L('record'), ofJob(job.blocksEnd)), block),
      w.when(w.lessThan(L('address'), ofJob(job.limit)), fail),
      step(local.mcu, w.constant(1)),
    ),
    ...w.store32(zero, L('address'), at.job + 4 * job.address),
    ...w.store32(zero, w.and(w.wrap(L('count')), w.constant(63)), at.job + 4 * job.count),
    ...w.store64(zero, L('bits'), at.job + 4 * job.bits),
  ];
  return {
    name: 'decode',
    parameters: 0,
    locals: {i32: narrowLocals.length, i64: wideLocals.length, v128: VECTORS},
    body,
  };
}

/** Bytes that `toRgb` takes and writes at once. */
export const RGB_PIXELS = 16;
const q15 = (x: number) => Math.round(x * 32768);

/**
 * A row of pixels: R = Y + 1.402 Cr, G = Y - 0.344136 Cb - 0.714136 Cr, B = Y + 1.772 Cb with Cb, Cr less 128 (JFIF 1.02), products
 * rounded as libjpeg does.
 */
function toRgb(): w.WasmFunction {
  const [y, cb, cr, target, end] = range(5) as [number, number, number, number, number];
  const [luma, blue, red, words, lowR, lowG, lowB, highR, highG, highB] = range(10).map((i) => 5 + i) as number[] as [
    ...[number, number, number, number, number],
    ...[number, number, number, number, number],
  ];
  const [bytesY, bytesB, bytesR] = [15, 16, 17] as const;
  const splat16 = (value: number) => w.splat16(w.constant(value));
  const greens = w.splat32(w.constant((q15(-0.714136) << 16) | (q15(-0.344136) & 0xffff)));
  const chroma = (a: w.Code) => w.subtract16x8(a, splat16(128));
  const half = (extend: (a: w.Code) => w.Code, [r, g, b]: readonly [number, number, number]) => {
    const green = (from: 0 | 4) =>
      w.shiftRight32x4(
        w.add32x4(
          w.dot16x8(w.shuffle(w.get(blue), w.get(red), interleave(from)), w.get(words)),
          w.splat32(w.constant(1 << 14)),
        ),
        w.constant(15),
      );
    return [
      ...w.set(luma, extend(w.get(bytesY))),
      ...w.set(blue, chroma(extend(w.get(bytesB)))),
      ...w.set(red, chroma(extend(w.get(bytesR)))),
      ...w.set(r, w.add16x8(w.get(luma), w.add16x8(w.get(red), w.multiplyQ15(w.get(red), splat16(q15(0.402)))))),
      ...w.set(g, w.add16x8(w.get(luma), w.narrow32to16(green(0), green(4)))),
      ...w.set(
        b,
        w.add16x8(
          w.add16x8(w.get(luma), w.get(blue)),
          w.add16x8(w.get(blue), w.multiplyQ15(w.get(blue), splat16(q15(-0.228)))),
        ),
      ),
    ];
  };
  const colours = [
    [lowR, highR],
    [lowG, highG],
    [lowB, highB],
  ] as const;
  /** Byte n of the result is channel n % 3 of pixel n / 3. */
  const third = (part: number) => {
    const bytes = range(16).map((i) => 16 * part + i);
    const redGreen = bytes.map((n) => Math.floor(n / 3) + (n % 3 === 1 ? 16 : 0));
    const withBlue = bytes.map((n, i) => (n % 3 === 2 ? 16 + Math.floor(n / 3) : i));
    return w.shuffle(w.shuffle(w.get(lowR), w.get(lowG), redGreen), w.get(lowB), withBlue);
  };
  const body = w.repeatWhile(
    w.lessThan(w.get(y), w.get(end)),
    w.set(bytesY, w.load128(w.get(y))),
    w.set(bytesB, w.load128(w.get(cb))),
    w.set(bytesR, w.load128(w.get(cr))),
    half(w.low8to16, [lowR, lowG, lowB]),
    half(w.high8to16, [highR, highG, highB]),
    ...colours.map(([a, b]) => w.set(a, w.narrow16to8(w.get(a), w.get(b)))),
    ...range(3).map((part) => w.store128(w.get(target), third(part), 16 * part)),
    ...[y, cb, cr].map((plane) => step(plane, w.constant(RGB_PIXELS))),
    step(target, w.constant(3 * RGB_PIXELS)),
  );
  return {name: 'toRgb', parameters: 5, locals: {i32: 0, v128: 13}, body: [...w.set(words, greens), ...body]};
}

export interface JpegKernels {
  readonly memory: w.WasmMemory;
  unstuff(source: number, end: number, target: number): void;
  decode(): void;
  toRgb(y: number, cb: number, cr: number, target: number, end: number): void;
}
export const withJpegKernels = w.lender<JpegKernels>(() => [unstuff(), decode(), toRgb()]);
