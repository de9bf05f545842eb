/** Batches of any size through a model that may want a fixed one, the colours last, another type, bytes, or photographs as they are. */
import {GpdError} from '../core/error.js';
import {float32ToHalf} from '../core/half.js';
import {float32, type Shape, type Tensor, tensor, toFloat32, zeros} from '../core/tensor.js';
import type {Image} from '../data/resample.js';
import type {Session} from '../onnx/session.js';
import {type ImageInput, type ImageNormalisation, shapeOf} from './image-input.js';

/** What a model needs to know of its interface. */
interface Interface {
  readonly input: ImageInput;
}
interface Answering extends Interface {
  /** The logits' name. */
  readonly output: string;
}

/** As the model takes them: prepared images [n, 3, S, S] that it runs at once. */
export function feedOf({layout, dtype, takes, normalised}: ImageInput, {shape, data}: Tensor<'float32'>): Tensor {
  const [count, channels, height, width] = shape as [number, number, number, number];
  const values = takes === 'pixels' ? pixelsOf(data, normalised, height * width) : data;
  if (layout === 'NCHW') return inDtype(dtype, shape, values);
  const last = new Float32Array(values.length);
  const plane = height * width;
  for (let n = 0; n < count; n++)
    for (let c = 0; c < channels; c++) {
      const from = (n * channels + c) * plane;
      for (let i = 0; i < plane; i++) last[(n * plane + i) * channels + c] = values[from + i]!;
    }
  return inDtype(dtype, [count, height, width, channels], last);
}

/** The bytes that a batch was made of: exact, because float32 holds far more than 256 steps. */
export function pixelsOf(data: Float32Array, {mean, std, order}: ImageNormalisation, plane: number): Float32Array {
  const pixels = new Float32Array(data.length);
  for (let i = 0; i < data.length; i++) {
    const place = Math.floor(i / plane) % 3;
    const colour = order === 'bgr' ? 2 - place : place;
    pixels[i] = Math.max(0, Math.min(255, Math.round(255 * (data[i]! * std[colour]! + mean[colour]!))));
  }
  return pixels;
}

function inDtype(dtype: ImageInput['dtype'], shape: Shape, data: Float32Array): Tensor {
  switch (dtype) {
    case 'float16':
      return tensor('float16', shape, float32ToHalf(data) as Uint16Array<ArrayBuffer>);
    case 'float64':
      return tensor('float64', shape, Float64Array.from(data));
    case 'uint8':
      return tensor('uint8', shape, Uint8Array.from(data));
    default:
      return tensor('float32', shape, data as Float32Array<ArrayBuffer>);
  }
}

/** Zeros in the shape and type of a batch. */
export const zeroImages = (input: ImageInput, images: number): Tensor => zeros(input.dtype, shapeOf(input, images));

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
  if (input.takes === 'photographs')
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
    const feed = feedOf(input, float32([group, ...shape], filled));
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
  {input: {name, batch = 1}, output}: Answering,
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
export const runImages = async (session: Session, subject: Answering, images: Tensor<'float32'>): Promise<Float32Array> =>
  (await runOutputs(session, subject, images, [subject.output]))[0]!;

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
