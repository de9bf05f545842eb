/** Runs a model with inner values as its outputs, some at a time: only those are fetched and held. */
import {type Tensor, toFloat32} from '../../core/tensor.js';
import {modelBytes} from '../../onnx/encode.js';
import type {Model, Value} from '../../onnx/graph.js';
import {openSession, type Session, type SessionOptions} from '../../onnx/session.js';
import {feedOf} from '../logits.js';
import type {Subject} from '../subject.js';

/** Numbers that are fetched at a time: 64 MB. */
const MAX_FETCHED = 16 * 2 ** 20;
/** For a value whose size is not known before it was computed. */
const USUAL_SIZE = 2 ** 18;

/** The numbers of a value for one image. */
export interface SeenValue {
  /** Without the batch. */
  readonly dims: readonly number[];
  readonly data: Float32Array;
}

/** The model with other outputs; its own are put back. */
function bytesWatching({graph, ...rest}: Model, values: readonly Value[]): Uint8Array {
  const {outputs} = graph;
  graph.outputs = [...new Set(values)];
  try {
    return modelBytes({graph, ...rest});
  } finally {
    graph.outputs = outputs;
  }
}

const sizeOfValue = ({shape}: Value): number =>
  shape?.reduce<number>((n, d) => n * (typeof d === 'number' ? d : 1), 1) ?? USUAL_SIZE;

/** Places of the values, in runs that are fetched together. */
export function portions(sizes: readonly number[]): number[][] {
  const all: number[][] = [];
  let sum = Number.POSITIVE_INFINITY;
  for (const [i, size] of sizes.entries()) {
    if (sum + size > MAX_FETCHED) {
      all.push([]);
      sum = 0;
    }
    all.at(-1)!.push(i);
    sum += size;
  }
  return all;
}

/** An open model whose values can be asked for. */
export class Watch {
  private constructor(
    private readonly session: Session,
    private readonly subject: Subject,
  ) {}

  static async open(subject: Subject, values: readonly Value[], options: SessionOptions): Promise<Watch> {
    const model = subject.model();
    const session = await openSession(bytesWatching(model, values), {...options, file: model.file});
    return new Watch(session, subject);
  }

  /** What the values are for one image; undefined where they have no row for each. A fixed batch is filled with the image. */
  async see(image: Tensor<'float32'>, values: readonly Value[]): Promise<(SeenValue | undefined)[]> {
    const batch = this.subject.input.batch ?? 1;
    return (await this.tensors(image, values)).map((result) => firstRow(result, batch));
  }

  /** As the model gives them. */
  async tensors(image: Tensor<'float32'>, values: readonly Value[]): Promise<Tensor[]> {
    const {input} = this.subject;
    const names = [...new Set(values.map(({name}) => name))];
    const results = await this.session.run(new Map([[input.name, feedOf(input, repeated(image, input.batch ?? 1))]]), names);
    return values.map(({name}) => results.get(name)!);
  }

  close(): Promise<void> {
    return this.session.close();
  }
}

function repeated(image: Tensor<'float32'>, times: number): Tensor<'float32'> {
  if (times === 1) return image;
  const data = new Float32Array(image.data.length * times);
  for (let i = 0; i < times; i++) data.set(image.data, i * image.data.length);
  return {...image, shape: [times, ...image.shape.slice(1)], data};
}

function firstRow(result: Tensor, batch: number): SeenValue | undefined {
  const {shape, data} = toFloat32(result);
  if (batch === 1) return {dims: shape.filter((d) => d !== 1), data};
  return shape[0] === batch
    ? {dims: shape.slice(1).filter((d) => d !== 1), data: data.subarray(0, data.length / batch)}
    : undefined;
}

/** Every value, seen on all images; the numbers are gone when the callback returns. */
export async function watchAll(
  watch: Watch,
  values: readonly Value[],
  images: readonly Tensor<'float32'>[],
  take: (place: number, seen: readonly (SeenValue | undefined)[]) => void,
): Promise<void> {
  for (const places of portions(values.map((value) => sizeOfValue(value) * images.length))) {
    const own = places.map((place) => values[place]!);
    const runs: (SeenValue | undefined)[][] = [];
    for (const image of images) runs.push(await watch.see(image, own));
    for (const [k, place] of places.entries())
      take(
        place,
        runs.map((run) => run[k]),
      );
  }
}
