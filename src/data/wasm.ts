/**
 * The little of WebAssembly's binary format that the image kernels need: functions of i32 parameters over one exported
 * memory, written as expressions. Facts: WebAssembly core specification 2.0, section 5 (binary format); SIMD opcodes there in 5.4.9.
 */

export type Code = readonly number[];

/** Unsigned LEB128. */
function leb(value: number): number[] {
  const bytes: number[] = [];
  for (let rest = value; ; rest >>>= 7) {
    if (rest < 0x80) return [...bytes, rest];
    bytes.push((rest & 0x7f) | 0x80);
  }
}
/** Signed LEB128 of a constant that fits 32 bits. */
function signedLeb(value: number): number[] {
  const bytes: number[] = [];
  for (let rest = value; ; rest >>= 7) {
    const last = (rest >> 6 === 0 || rest >> 6 === -1) as boolean;
    bytes.push(last ? rest & 0x7f : (rest & 0x7f) | 0x80);
    if (last) return bytes;
  }
}

const BYTE_ALIGNED = [0x00]; // a promise about alignment that is always true
const memory = (offset: number) => [...BYTE_ALIGNED, ...leb(offset)];
const simd = (opcode: number) => [0xfd, ...leb(opcode)];
const binary =
  (...opcode: number[]) =>
  (a: Code, b: Code): Code => [...a, ...b, ...opcode];

// i32
export const constant = (value: number): Code => [0x41, ...signedLeb(value)];
export const get = (local: number): Code => [0x20, ...leb(local)];
export const set = (local: number, value: Code): Code => [...value, 0x21, ...leb(local)];
export const add = binary(0x6a);
export const subtract = binary(0x6b);
export const multiply = binary(0x6c);
export const and = binary(0x71);
export const xor = binary(0x73);
export const equal = binary(0x46);
export const lessThan = binary(0x48); // signed
export const lessThanUnsigned = binary(0x49);
export const isZero = (a: Code): Code => [...a, 0x45];
export const load32 = (address: Code, offset = 0): Code => [...address, 0x28, ...memory(offset)];
export const loadByte = (address: Code, offset = 0): Code => [...address, 0x2d, ...memory(offset)];
export const store32 = (address: Code, value: Code, offset = 0): Code => [...address, ...value, 0x36, ...memory(offset)];
export const store16 = (address: Code, value: Code, offset = 0): Code => [...address, ...value, 0x3b, ...memory(offset)];
export const storeByte = (address: Code, value: Code): Code => [...address, ...value, 0x3a, ...memory(0)];

// i64; shifts look at the lowest six bits of their count
export const constant64 = (value: number): Code => [0x42, ...signedLeb(value)];
export const load64 = (address: Code, offset = 0): Code => [...address, 0x29, ...memory(offset)];
/** Four bytes, zeros above. */
export const load32To64 = (address: Code): Code => [...address, 0x35, ...memory(0)];
export const store64 = (address: Code, value: Code, offset = 0): Code => [...address, ...value, 0x37, ...memory(offset)];
export const subtract64 = binary(0x7d);
export const and64 = binary(0x83);
export const or64 = binary(0x84);
export const xor64 = binary(0x85);
export const shiftLeft64 = binary(0x86);
export const shiftRight64 = binary(0x87); // signed
export const shiftRightUnsigned64 = binary(0x88);
export const isZero64 = (a: Code): Code => [...a, 0x50];
/** The lower half. */
export const wrap = (a: Code): Code => [...a, 0xa7];
export const extend = (a: Code): Code => [...a, 0xad];

// v128
export const load128 = (address: Code, offset = 0): Code => [...address, ...simd(0x00), ...memory(offset)];
export const load32Splat = (address: Code, offset = 0): Code => [...address, ...simd(0x09), ...memory(offset)];
/** Four bytes into the lowest lane, zeros above. */
export const load32Zero = (address: Code): Code => [...address, ...simd(0x5c), ...memory(0)];
export const store128 = (address: Code, value: Code, offset = 0): Code => [
  ...address,
  ...value,
  ...simd(0x0b),
  ...memory(offset),
];
export const storeLowest32 = (address: Code, value: Code): Code => [...address, ...value, ...simd(0x5a), ...memory(0), 0];
/** The lower half of a vector. */
export const storeLowest64 = (address: Code, value: Code): Code => [...address, ...value, ...simd(0x5b), ...memory(0), 0];
export const splat16 = (value: Code): Code => [...value, ...simd(0x10)];
export const splatByte = (value: Code): Code => [...value, ...simd(0x0f)];
export const splat32 = (value: Code): Code => [...value, ...simd(0x11)];
export const add32x4 = binary(...simd(0xae));
export const multiply32x4 = binary(...simd(0xb5));
export const shiftRight32x4 = binary(...simd(0xac));
export const add16x8 = binary(...simd(0x8e));
export const subtract16x8 = binary(...simd(0x91));
export const multiply16x8 = binary(...simd(0x95));
/** (a·b + 2^14) >> 15, saturating. */
export const multiplyQ15 = binary(...simd(0x82));
/** Sums of the products of neighbouring 16-bit lanes. */
export const dot16x8 = binary(...simd(0xba));
export const equal8x16 = binary(...simd(0x23));
export const anyTrue = (a: Code): Code => [...a, ...simd(0x53)];
/** Bytes of two vectors, counted through both: 0–15 are the first's. */
export const shuffle = (a: Code, b: Code, bytes: readonly number[]): Code => [...a, ...b, ...simd(0x0d), ...bytes];
const unary =
  (...opcode: number[]) =>
  (a: Code): Code => [...a, ...opcode];
export const low8to16 = unary(...simd(0x89));
export const high8to16 = unary(...simd(0x8a));
export const low16to32 = unary(...simd(0xa9));
export const high16to32 = unary(...simd(0xaa));
/** Saturating. */
export const narrow32to16 = binary(...simd(0x85));
export const narrow16to8 = binary(...simd(0x66));

/** `do body while (condition)`. */
export const repeatWhile = (condition: Code, ...body: Code[]): Code => [
  0x03,
  0x40,
  ...body.flat(),
  ...condition,
  0x0d,
  0x00,
  0x0b,
];

/** `do body while (true)`: left by a `leave`. */
export const forever = (...body: Code[]): Code => [0x03, 0x40, ...body.flat(), 0x0c, 0x00, 0x0b];
/** What a `leave` leaves. */
export const block = (...body: Code[]): Code => [0x02, 0x40, ...body.flat(), 0x0b];
/** Goes behind the block, loop or branch that is `depth` levels out. */
export const leaveIf = (depth: number, condition: Code): Code => [...condition, 0x0d, depth];
export const when = (condition: Code, then: Code, otherwise?: Code): Code => [
  ...condition,
  0x04,
  0x40,
  ...then,
  ...(otherwise ? [0x05, ...otherwise] : []),
  0x0b,
];
/** Ends the function. */
export const finish: Code = [0x0f];

export interface WasmFunction {
  readonly name: string;
  /** How many i32 parameters; they are the first locals, then come the i32 ones, the i64 ones, the v128 ones. */
  readonly parameters: number;
  readonly locals: {readonly i32: number; readonly i64?: number; readonly v128: number};
  readonly body: Code;
}

const I32 = 0x7f;
const I64 = 0x7e;
const V128 = 0x7b;
const FUNCTION = 0;
const MEMORY = 2;
const vector = (items: readonly Code[]): Code => [...leb(items.length), ...items.flat()];
const sized = (bytes: Code): Code => [...leb(bytes.length), ...bytes];
const section = (id: number, items: readonly Code[]): Code => [id, ...sized(vector(items))];
const text = (name: string): Code => vector([...new TextEncoder().encode(name)].map((byte) => [byte]));

/** A module with a memory of one page, exported as `memory`, that the host may grow. */
function wasmModule(functions: readonly WasmFunction[]): Uint8Array {
  const type = (f: WasmFunction) => [0x60, ...vector(Array.from({length: f.parameters}, () => [I32])), ...vector([])];
  const code = (f: WasmFunction) =>
    sized([
      ...vector([
        [...leb(f.locals.i32), I32],
        [...leb(f.locals.i64 ?? 0), I64],
        [...leb(f.locals.v128), V128],
      ]),
      ...f.body,
      0x0b,
    ]);
  return Uint8Array.from([
    ...[0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00],
    ...section(1, functions.map(type)),
    ...section(
      3,
      functions.map((_, i) => leb(i)),
    ),
    ...section(5, [[0x00, 0x01]]),
    ...section(7, [[...text('memory'), MEMORY, 0], ...functions.map((f, i) => [...text(f.name), FUNCTION, ...leb(i)])]),
    ...section(10, functions.map(code)),
  ]);
}

export interface WasmMemory {
  readonly buffer: ArrayBuffer;
  grow(pages: number): number;
}
/** What Node has of the WebAssembly interface; its types come with the browser's library only. */
declare const WebAssembly: {
  Module: new (bytes: Uint8Array) => object;
  Instance: new (module: object) => {exports: object};
};
const PAGE_BYTES = 65536;
/** Above this the memory is given back after use: one huge image must not cost every later one. */
const MAX_KEPT_BYTES = 32 * 1024 * 1024;

/** A module that is made when it is first needed. Lends its functions with at least so much memory, which is not cleared. */
export function lender<E extends {readonly memory: WasmMemory}>(functions: () => readonly WasmFunction[]) {
  let exports: E | undefined;
  return <R>(bytes: number, use: (exports: E) => R): R => {
    exports ??= new WebAssembly.Instance(new WebAssembly.Module(wasmModule(functions()))).exports as unknown as E;
    const missing = bytes - exports.memory.buffer.byteLength;
    if (missing > 0) exports.memory.grow(Math.ceil(missing / PAGE_BYTES));
    const result = use(exports);
    if (bytes > MAX_KEPT_BYTES) exports = undefined;
    return result;
  };
}
