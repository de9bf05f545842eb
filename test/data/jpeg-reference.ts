/**
 * What decoding at M eighths means, slowly, in float64: every sample the sum of cosines of its block's lowest frequencies, chroma of fewer
 * samples transformed to as many as luma has, colours as JFIF 1.02 gives them.
 */
import type {Image} from '../../src/data/resample.js';
import type {WrittenComponent, WrittenJpeg} from './jpeg-writer.js';

const range = (n: number) => Array.from({length: n}, (_, i) => i);
const clip = (x: number) => Math.min(255, Math.max(0, Math.round(x)));

/** Sample x of `side` of frequency u: an orthonormal transform's, times √(side / 8), so that a constant stays what it is. */
function cosine(side: number, x: number, u: number): number {
  if (u >= side) return 0;
  const norm = Math.sqrt((u === 0 ? 1 : 2) / side) * Math.sqrt(side / 8);
  return norm * Math.cos(((2 * x + 1) * u * Math.PI) / (2 * side));
}

function samples({quantisation, blocks}: WrittenComponent, block: number, width: number, height: number): number[][] {
  const coefficients = blocks[block]!.map((value, i) => value * quantisation[i]!);
  const columns = range(width).map((x) => range(8).map((u) => cosine(width, x, u)));
  const rows = range(height).map((y) => range(8).map((v) => cosine(height, y, v)));
  return rows.map((row) =>
    columns.map((column) => {
      let sum = 128;
      for (const [i, c] of coefficients.entries()) if (c !== 0) sum += c * row[i >> 3]! * column[i & 7]!;
      return clip(sum);
    }),
  );
}

export function slowDecode({width, height, components}: WrittenJpeg, eighths: number): Image {
  const most = {across: Math.max(...components.map((c) => c.across)), down: Math.max(...components.map((c) => c.down))};
  const [outWidth, outHeight] = [width, height].map((n) => Math.ceil((n * eighths) / 8)) as [number, number];
  const planes = components.map((component) => {
    const [w, h] = [(eighths * most.across) / component.across, (eighths * most.down) / component.down];
    const blocksAcross = Math.ceil(width / 8 / most.across) * component.across;
    const decoded = component.blocks.map((_, b) => samples(component, b, w, h));
    return (x: number, y: number) => decoded[Math.floor(y / h) * blocksAcross + Math.floor(x / w)]![y % h]![x % w]!;
  });
  const data = new Uint8Array(outWidth * outHeight * 3);
  for (let y = 0, at = 0; y < outHeight; y++) {
    for (let x = 0; x < outWidth; x++, at += 3) {
      const [luma, cb = 128, cr = 128] = planes.map((plane) => plane(x, y)) as [number, number?, number?];
      data[at] = clip(luma + 1.402 * (cr - 128));
      data[at + 1] = clip(luma - 0.344136 * (cb - 128) - 0.714136 * (cr - 128));
      data[at + 2] = clip(luma + 1.772 * (cb - 128));
    }
  }
  return {width: outWidth, height: outHeight, data};
}
