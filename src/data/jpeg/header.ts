/**
 * The headers of a JPEG that our own decoder reads: sequential Huffman coding, 8 bits, gray or YCbCr, one scan. Everything else, and
 * everything odd, is `undefined`: another decoder judges those. Facts: ITU T.81, annex B; JFIF 1.02; Adobe's APP14 as libjpeg reads it.
 */
import {MAX_SEGMENTS} from '../image-kind.js';

export interface HuffmanSpec {
  /** How many codes have 1, 2, … 16 bits. */
  readonly counts: Uint8Array;
  readonly symbols: Uint8Array;
}
export interface JpegComponent {
  /** Sampling factors, 1 or 2. */
  readonly across: number;
  readonly down: number;
  readonly quantisation: Uint8Array; // [64], zigzag order
  readonly dc: HuffmanSpec;
  readonly ac: HuffmanSpec;
}
export interface BaselineJpeg {
  readonly width: number;
  readonly height: number;
  readonly components: readonly JpegComponent[];
  /** MCUs between two restart markers; 0: there are none. */
  readonly restartInterval: number;
  /** Where the entropy-coded bytes begin. */
  readonly scan: number;
}

interface FrameComponent {
  readonly id: number;
  readonly across: number;
  readonly down: number;
  readonly table: number;
}
interface Headers {
  frame: {width: number; height: number; components: FrameComponent[]} | undefined;
  readonly quantisation: Map<number, Uint8Array>;
  readonly huffman: Map<number, HuffmanSpec>; // class · 16 + destination
  restartInterval: number;
  isJfif: boolean;
  /** Adobe's colour transform: 1 is YCbCr. */
  adobe: number | undefined;
}

const u16 = (bytes: Uint8Array, at: number) => (bytes[at]! << 8) | bytes[at + 1]!;
const startsWith = (bytes: Uint8Array, text: string) => [...text].every((c, i) => bytes[i] === c.charCodeAt(0));

/** Marker → what its segment says; false: not for us. */
const segments: Readonly<Record<number, (body: Uint8Array, headers: Headers) => boolean>> = {
  192: readFrame, // SOF0, baseline
  193: readFrame, // SOF1, extended: the same but for more tables
  196: readHuffman,
  219: readQuantisation,
  221(body, headers) {
    headers.restartInterval = u16(body, 0);
    return body.length === 2;
  },
  224(body, headers) {
    headers.isJfif ||= body.length >= 14 && startsWith(body, 'JFIF\0');
    return true;
  },
  238(body, headers) {
    if (body.length >= 12 && startsWith(body, 'Adobe')) headers.adobe = body[11]!;
    return true;
  },
};
const START_OF_SCAN = 0xda;
/** APPn and comments. What is neither known nor passed over is of another kind (progressive, arithmetic, a height that comes later). */
const isPassedOver = (marker: number) => (marker >= 0xe0 && marker <= 0xef) || marker === 0xfe;

export function readBaseline(bytes: Uint8Array): BaselineJpeg | undefined {
  const headers: Headers = {
    frame: undefined,
    quantisation: new Map(),
    huffman: new Map(),
    restartInterval: 0,
    isJfif: false,
    adobe: undefined,
  };
  for (let at = 2, count = 0; at + 4 <= bytes.length && bytes[at] === 0xff && count < MAX_SEGMENTS; count++) {
    const marker = bytes[at + 1]!;
    const end = at + 2 + u16(bytes, at + 2);
    if (end < at + 4 || end > bytes.length) return undefined;
    const body = bytes.subarray(at + 4, end);
    if (marker === START_OF_SCAN) return complete(body, headers, end);
    const read = segments[marker];
    if (read ? !read(body, headers) : !isPassedOver(marker)) return undefined;
    at = end;
  }
  return undefined;
}

function readFrame(body: Uint8Array, headers: Headers): boolean {
  const count = body[5];
  if (headers.frame || body[0] !== 8 || (count !== 1 && count !== 3) || body.length !== 6 + 3 * count) return false;
  const components = Array.from({length: count}, (_, i) => {
    const [id, sampling, table] = body.subarray(6 + 3 * i) as unknown as [number, number, number];
    return {id, across: sampling >> 4, down: sampling & 15, table};
  });
  headers.frame = {height: u16(body, 1), width: u16(body, 3), components};
  return true;
}

function readQuantisation(body: Uint8Array, {quantisation}: Headers): boolean {
  for (let at = 0; at < body.length; at += 65) {
    if (body[at]! > 3 || at + 65 > body.length) return false; // above 3: 16 bits
    quantisation.set(body[at]!, body.subarray(at + 1, at + 65));
  }
  return true;
}

function readHuffman(body: Uint8Array, {huffman}: Headers): boolean {
  for (let at = 0; at < body.length; ) {
    const counts = body.subarray(at + 1, at + 17);
    const length = counts.reduce((sum, n) => sum + n, 0);
    const symbols = body.subarray(at + 17, at + 17 + length);
    if ((body[at]! & 0xec) !== 0 || counts.length < 16 || symbols.length < length) return false;
    huffman.set(body[at]!, {counts, symbols});
    at += 17 + length;
  }
  return true;
}

/** With the header of the scan everything is known. */
function complete(body: Uint8Array, headers: Headers, scan: number): BaselineJpeg | undefined {
  const {frame, restartInterval} = headers;
  const count = frame?.components.length;
  if (!frame || !count || frame.width === 0 || frame.height === 0) return undefined; // without a height: DNL gives it later
  const hasAll = body[0] === count && body.length === 4 + 2 * count;
  const isSequential = body.at(-3) === 0 && body.at(-2) === 63 && body.at(-1) === 0;
  if (!hasAll || !isSequential || (count === 3 && !isYcc(frame.components, headers))) return undefined;
  const components: JpegComponent[] = [];
  for (const [i, {id, across, down, table}] of frame.components.entries()) {
    const tables = body[2 + 2 * i]!;
    const quantisation = headers.quantisation.get(table);
    const dc = headers.huffman.get(tables >> 4);
    const ac = headers.huffman.get(16 + (tables & 15));
    if (body[1 + 2 * i] !== id || !quantisation || !dc || !ac) return undefined;
    // a single component is not interleaved, so that its sampling factors say nothing
    components.push({...(count === 1 ? {across: 1, down: 1} : {across, down}), quantisation, dc, ac});
  }
  if (components.some(({across, down}) => ![1, 2].includes(across) || ![1, 2].includes(down))) return undefined;
  return {width: frame.width, height: frame.height, components, restartInterval, scan};
}

/** Only where libjpeg has no doubt either. */
function isYcc(components: readonly FrameComponent[], {isJfif, adobe}: Headers): boolean {
  if (adobe !== undefined && adobe !== 1) return false;
  return isJfif || adobe === 1 || components.every(({id}, i) => id === i + 1);
}
