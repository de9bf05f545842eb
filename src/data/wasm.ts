/**
 * The little of WebAssembly's binary format that the resampling kernels need: functions of i32 parameters over one exported
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
/** Signed LEB128 of a 32-bit constant. */
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
export const multiply = binary(0x6c);
export const lessThan = binary(0x48); // signed
export const load32 = (address: Code): Code => [...address, 0x28, ...memory(0)];
export const loadByte = (address: Code, offset = 0): Code => [...address, 0x2d, ...memory(offset)];
export const store32 = (address: Code, value: Code): Code => [...address, ...value, 0x36, ...memory(0)];

// v128
export const load128 = (address: Code): Code => [...address, ...simd(0x00), ...memory(0)];
export const load32Splat = (address: Code): Code => [...address, ...simd(0x09), ...memory(0)];
/** Four bytes into the lowest lane, zeros above. */
export const load32Zero = (address: Code): Code => [...address, ...simd(0x5c), ...memory(0)];
export const store128 = (address: Code, value: Code): Code => [...address, ...value, ...simd(0x0b), ...memory(0)];
export const storeLowest32 = (address: Code, value: Code): Code => [...address, ...value, ...simd(0x5a), ...memory(0), 0];
export const splat32 = (value: Code): Code => [...value, ...simd(0x11)];
export const add32x4 = binary(...simd(0xae));
export const multiply32x4 = binary(...simd(0xb5));
export const shiftRight32x4 = binary(...simd(0xac));
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

export interface WasmFunction {
  readonly name: string;
  /** How many i32 parameters; they are the first locals, then come the i32 ones, then the v128 ones. */
  readonly parameters: number;
  readonly locals: {readonly i32: number; readonly v128: number};
  readonly body: Code;
}

const I32 = 0x7f;
const V128 = 0x7b;
const FUNCTION = 0;
const MEMORY = 2;
const vector = (items: readonly Code[]): Code => [...leb(items.length), ...items.flat()];
const sized = (bytes: Code): Code => [...leb(bytes.length), ...bytes];
const section = (id: number, items: readonly Code[]): Code => [id, ...sized(vector(items))];
const text = (name: string): Code => vector([...new TextEncoder().encode(name)].map((byte) => [byte]));

/** A module with a memory of one page, exported as `memory`, that the host may grow. */
export function wasmModule(functions: readonly WasmFunction[]): Uint8Array {
  const type = (f: WasmFunction) => [0x60, ...vector(Array.from({length: f.parameters}, () => [I32])), ...vector([])];
  const code = (f: WasmFunction) =>
    sized([
      ...vector([
        [...leb(f.locals.i32), I32],
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
