/** Batches of any size through a model that may want a fixed one, half precision, or photographs as they are. */
import {GpdError} from '../core/error.js';
import {float32ToHalf} from '../core/half.js';
import {type Tensor, tensor, toFloat32} from '../core/tensor.js';
import type {Image} from '../data/resample.js';
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
  if (input.dtype === 'uint8')
    throw new GpdError('SHAPE_MISMATCH', `the input '${input.name}' takes photographs, not prepared images`, {
      hint: 'gpd eval compares models that prepare photographs themselves with others',
    });
  const [count = 0, ...shape] = images.shape;
  const size = images.data.length / count;
  const group = input.batch ?? count;
  const rows: Float32Array[][] = outputs.map(() => []);
  for (let start = 0; start < count; start += group) {
    const wanted = Math.min(group, count - start);
    const part = images.data.subarray(start * size, (start + wanted) * size);
    const filled = wanted === group ? part : padded(part, group * size);
    const feed = feedOf(input, tensor('float32', [group, ...shape], filled as Float32Array<ArrayBuffer>));
    const results = await session.run(new Map([[input.name, feed]]), outputs);
    for (const [i, name] of outputs.entries()) {
      const {data} = toFloat32(results.get(name)!);
      rows[i]!.push(data.subarray(0, (data.length / group) * wanted));
    }
  }
  return rows.map((own) => (own.length === 1 ? own[0]! : joined(own)));
}

/** The logits of photographs, prepared by the model itself. One by one: their sizes differ. A fixed batch is filled with the same. */
export async function runPhotographs(
  session: Session,
  {input: {name, batch = 1}, output}: Interface & Pick<Subject, 'output'>,
  photographs: readonly Image[],
): Promise<Float32Array> {
  const rows: Float32Array[] = [];
  for (const {width, height, data} of photographs) {
    const filled = batch === 1 ? new Uint8Array(data) : repeated(data, batch);
    const results = await session.run(new Map([[name, tensor('uint8', [batch, height, width, 3], filled)]]), [output]);
    const {data: logits} = toFloat32(results.get(output)!);
    rows.push(logits.slice(0, logits.length / batch));
  }
  return joined(rows);
}

/** The logits. */
export const runImages = async (
  session: Session,
  subject: Interface & Pick<Subject, 'output'>,
  images: Tensor<'float32'>,
): Promise<Float32Array> => (await runOutputs(session, subject, images, [subject.output]))[0]!;

/** As the model takes them: a batch of images that it runs at once. */
export const feedOf = ({dtype}: Subject['input'], images: Tensor<'float32'>): Tensor =>
  dtype === 'float16' ? tensor('float16', images.shape, float32ToHalf(images.data) as Uint16Array<ArrayBuffer>) : images;

function repeated(data: Uint8Array, times: number): Uint8Array<ArrayBuffer> {
  const filled = new Uint8Array(data.length * times);
  for (let i = 0; i < times; i++) filled.set(data, i * data.length);
  return filled;
}

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
