/**
 * Event files as TensorBoard reads them: records of TFRecord, each an Event message with scalars. tensorflow/core/lib/io/record_writer.cc,
 * tensorflow/core/util/event.proto, framework/summary.proto. The length and the bytes carry a masked CRC-32C each.
 */
import {ByteWriter} from '../../checkpoint/byte-writer.js';

/** CRC-32 with the polynomial of Castagnoli, reflected. */
let table: Uint32Array | undefined;
export function crc32c(bytes: Uint8Array): number {
  table ??= Uint32Array.from({length: 256}, (_, n) => {
    for (let bit = 0; bit < 8; bit++) n = n & 1 ? (n >>> 1) ^ 0x82f63b78 : n >>> 1;
    return n >>> 0;
  });
  let crc = ~0;
  for (const byte of bytes) crc = table[(crc ^ byte) & 0xff]! ^ (crc >>> 8);
  return ~crc >>> 0;
}

/** Rotated and shifted, so that the CRC of data that holds CRCs stays useful. */
const masked = (crc: number): number => (((crc >>> 15) | (crc << 17)) + 0xa282ead8) >>> 0;

function framed(data: Uint8Array): Uint8Array {
  const length = new ByteWriter().u64(data.length).take();
  return new ByteWriter()
    .raw(length)
    .raw(littleEndian(masked(crc32c(length))))
    .raw(data)
    .raw(littleEndian(masked(crc32c(data))))
    .take();
}
const littleEndian = (value: number): Uint8Array => new Uint8Array(Uint32Array.of(value).buffer);

/** Protobuf fields: a varint, eight bytes, four bytes, or bytes with their length. */
const varint = (out: ByteWriter, value: number): ByteWriter => {
  for (; value >= 128; value = Math.floor(value / 128)) out.u8((value % 128) | 128);
  return out.u8(value);
};
const tag = (field: number, wire: 0 | 1 | 2 | 5) => (field << 3) | wire;
const double = (out: ByteWriter, field: number, value: number) =>
  out.u8(tag(field, 1)).raw(new Uint8Array(Float64Array.of(value).buffer));
const float = (out: ByteWriter, field: number, value: number) =>
  out.u8(tag(field, 5)).raw(new Uint8Array(Float32Array.of(value).buffer));
const whole = (out: ByteWriter, field: number, value: number) => varint(out.u8(tag(field, 0)), value);
const bytes = (out: ByteWriter, field: number, value: Uint8Array) => varint(out.u8(tag(field, 2)), value.length).raw(value);

const text = (value: string) => new TextEncoder().encode(value);

/** The first record of a file. `seconds`: since 1970. */
export const eventHeader = (seconds: number): Uint8Array =>
  framed(bytes(double(new ByteWriter(), 1, seconds), 3, text('brain.Event:2')).take());

/** Scalars of one step. */
export function scalarEvent(
  seconds: number,
  step: number,
  scalars: Iterable<readonly [name: string, value: number]>,
): Uint8Array {
  const summary = new ByteWriter();
  for (const [name, value] of scalars) bytes(summary, 1, float(bytes(new ByteWriter(), 1, text(name)), 2, value).take());
  return framed(bytes(whole(double(new ByteWriter(), 1, seconds), 2, step), 5, summary.take()).take());
}
