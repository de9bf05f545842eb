/** Batches of any size through a model that may want a fixed one, or half precision. */
import {float32ToHalf} from '../core/half.js';
import {type Tensor, tensor, toFloat32} from '../core/tensor.js';
import type {Session} from '../onnx/session.js';
import type {Subject} from './subject.js';

/** What a model needs to know of its interface. */
type Interface = Pick<Subject, 'input'>;

/**
 * Values of the named outputs, row after row; [N, 3, S, S] in. The last group of a fixed batch is filled with zeros, whose rows are
 * cut off again.
 */
export async function runOutputs(
  session: Session,
  {input}: Interface,
  images: Tensor<'float32'>,
  outputs: readonly string[],
): Promise<Float32Array[]> {
  const [count = 0, ...shape] = images.shape;
  const size = images.data.length / count;
  const group = input.batch ?? count;
  const rows: Float32Array[][] = outputs.map(() => []);
  for (let start = 0; start < count; start += group) {
    const wanted = Math.min(group, count - start);
    const part = images.data.subarray(start * size, (start + wanted) * size);
    const filled = wanted === group ? part : padded(part, group * size);
    const feed = {dtype: input.dtype, shape: [group, ...shape], data: filled};
    const results = await session.run(new Map([[input.name, inDtype(feed)]]), outputs);
    for (const [i, name] of outputs.entries()) {
      const {data} = toFloat32(results.get(name)!);
      rows[i]!.push(data.subarray(0, (data.length / group) * wanted));
    }
  }
  return rows.map((own) => (own.length === 1 ? own[0]! : joined(own)));
}

/** The logits. */
export const runImages = async (
  session: Session,
  subject: Interface & Pick<Subject, 'output'>,
  images: Tensor<'float32'>,
): Promise<Float32Array> => (await runOutputs(session, subject, images, [subject.output]))[0]!;

const inDtype = ({dtype, shape, data}: {dtype: 'float32' | 'float16'; shape: number[]; data: Float32Array}): Tensor =>
  dtype === 'float16'
    ? tensor('float16', shape, float32ToHalf(data) as Uint16Array<ArrayBuffer>)
    : tensor('float32', shape, data as Float32Array<ArrayBuffer>);

function padded(part: Float32Array, length: number): Float32Array {
  const filled = new Float32Array(length);
  filled.set(part);
  return filled;
}

function joined(rows: readonly Float32Array[]): Float32Array {
  const all = new Float32Array(rows.reduce((n, r) => n + r.length, 0));
  let at = 0;
  for (const row of rows) {
    all.set(row, at);
    at += row.length;
  }
  return all;
}
