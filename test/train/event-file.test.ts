/** Event files, read by the rules of TFRecord and protobuf. */
import {crc32c, eventHeader, scalarEvent} from '../../src/train/run/event-file.js';

const text = (value: string) => new TextEncoder().encode(value);
/** The definition: polynomial division, bit by bit. */
function slowCrc32c(bytes: Uint8Array): number {
  let crc = 0xffffffff;
  for (const byte of bytes) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0x82f63b78 : crc >>> 1;
  }
  return ~crc >>> 0;
}

test('CRC-32C: published values, and the definition', () => {
  expect(crc32c(text('123456789'))).toBe(0xe3069283); // RFC 3720, B.4 has the next two
  expect(crc32c(new Uint8Array(32))).toBe(0x8a9136aa);
  expect(crc32c(new Uint8Array(32).fill(255))).toBe(0x62a8ab43);
  const bytes = Uint8Array.from({length: 999}, (_, i) => (i * i) % 251);
  expect(crc32c(bytes)).toBe(slowCrc32c(bytes));
});

/** Records of a file; their checksums are compared. */
function records(file: Uint8Array): Uint8Array[] {
  const view = new DataView(file.buffer, file.byteOffset, file.byteLength);
  const unmasked = (at: number) => {
    const rotated = (view.getUint32(at, true) - 0xa282ead8) >>> 0;
    return ((rotated >>> 17) | (rotated << 15)) >>> 0;
  };
  const found: Uint8Array[] = [];
  for (let at = 0; at < file.length; ) {
    const length = Number(view.getBigUint64(at, true));
    expect(unmasked(at + 8)).toBe(slowCrc32c(file.subarray(at, at + 8)));
    const data = file.subarray(at + 12, at + 12 + length);
    expect(unmasked(at + 12 + length)).toBe(slowCrc32c(data));
    found.push(data);
    at += 16 + length;
  }
  return found;
}

type Fields = Map<number, (number | Uint8Array)[]>;
function fieldsOf(message: Uint8Array): Fields {
  const fields: Fields = new Map();
  const view = new DataView(message.buffer, message.byteOffset, message.byteLength);
  let at = 0;
  const varint = () => {
    let value = 0;
    for (let scale = 1; ; scale *= 128) {
      const byte = message[at++]!;
      value += (byte & 127) * scale;
      if (byte < 128) return value;
    }
  };
  const sized = (length: number) => {
    at += length;
    return message.subarray(at - length, at);
  };
  while (at < message.length) {
    const tag = varint();
    const readers: Record<number, () => number | Uint8Array> = {
      0: varint,
      1: () => view.getFloat64(sized(8).byteOffset - message.byteOffset, true),
      2: () => sized(varint()),
      5: () => view.getFloat32(sized(4).byteOffset - message.byteOffset, true),
    };
    fields.set(tag >> 3, [...(fields.get(tag >> 3) ?? []), readers[tag & 7]!()]);
  }
  return fields;
}
const string = (value: unknown) => new TextDecoder().decode(value as Uint8Array);

test('a header, then scalars by name', () => {
  const scalars = [
    ['train/loss', 2.5],
    ['val/student_top1', 71.25],
    ['lr', 0.1],
  ] as const;
  const steps = 300_000;
  const [header, event] = records(Buffer.concat([eventHeader(1e9), scalarEvent(1e9 + 0.5, steps, scalars)]));
  expect(fieldsOf(header!).get(1)).toEqual([1e9]);
  expect(string(fieldsOf(header!).get(3)![0])).toBe('brain.Event:2');
  const fields = fieldsOf(event!);
  expect(fields.get(1)).toEqual([1e9 + 0.5]);
  expect(fields.get(2)).toEqual([steps]);
  const values = (fieldsOf(fields.get(5)![0] as Uint8Array).get(1) as Uint8Array[]).map(fieldsOf);
  expect(values.map((v) => [string(v.get(1)![0]), v.get(2)![0]])).toEqual(scalars.map(([n, v]) => [n, Math.fround(v)]));
});
