/**
 * Batches of normalised images, in the order asked for, while the next ones are read and decoded. What is in memory does not depend
 * on the size of the set: a window of crops as bytes, and the batch of floats that is given out. A batch is filled when it is asked
 * for, not before: onnxruntime-node blocks this thread while it computes, so that nothing could be filled meanwhile; the decoding
 * threads have their work by then.
 */
import {GpdError} from '../core/error.js';
import {random} from '../core/random.js';
import {type Tensor, tensor} from '../core/tensor.js';
import {type Erasing, erase} from './augment/erasing.js';
import type {TrainTransform} from './augment/transform.js';
import type {Dataset, Sample} from './dataset.js';
import {type Decoder, defaultWorkers, openDecoder} from './decoders.js';
import type {PrepareOptions} from './prepare.js';
import {normaliser} from './preprocess.js';
import type {Recipe} from './recipe.js';
import type {Image} from './resample.js';

export interface Failure {
  readonly path: string;
  readonly index: number;
  readonly reason: string;
}

export interface Batch {
  /** [n, 3, height, width], normalised. n is smaller where samples were skipped, and 0 where all were. */
  readonly images: Tensor<'float32'>;
  /** -1: unknown. */
  readonly labels: Int32Array;
  readonly indices: Int32Array;
  /** Samples that could not be read. */
  readonly failures: readonly Failure[];
}

export interface LoadOptions {
  readonly recipe: Recipe;
  /** Pixels a side that the network takes: what images must have where the recipe does not crop. */
  readonly side?: number;
  readonly batchSize: number;
  /** Threads that prepare images beside this one. Default: see `defaultWorkers`. The result does not depend on it. */
  readonly workers?: number;
  /** 'stop' (default) throws at the first image that cannot be read; 'skip' goes on and reports it in the batch. */
  readonly onError?: 'stop' | 'skip';
  /** Which samples, in which order. Default: all, as they are. */
  readonly indices?: readonly number[];
  /** See `decodeFast`. */
  readonly fast?: boolean;
  /** Images are augmented, not only cut to size. */
  readonly training?: TrainingLoad;
  /** How many batches are read and decoded ahead of the one that is given out. Default 2. */
  readonly prefetch?: number;
  /**
   * Every batch's images are written into the same memory, and are gone when the next batch is asked for. Saves a batch of memory
   * (154 MB for 256 images) and a tenth of the time: fresh memory is slow on first touch. Default false.
   */
  readonly reuse?: boolean;
}

export interface TrainingLoad {
  readonly transform: TrainTransform;
  readonly erasing?: Erasing;
  /** Of each of `indices`: see `streamOf`. */
  readonly streams: readonly string[];
  /** Which sample takes a position whose image cannot be read, and the next one where that cannot be read either. Without it `onError` decides. */
  readonly instead?: (position: number) => number | undefined;
}

export async function* loadBatches(dataset: Dataset, options: LoadOptions): AsyncGenerator<Batch, void, undefined> {
  const {recipe, batchSize, workers, fast = false, prefetch = 2, training} = options;
  if (!(batchSize >= 1)) throw new Error(`a batch of ${batchSize} images`);
  const samples = options.indices ? options.indices.map((i) => sampleAt(dataset, i)) : dataset.samples;
  if (samples.length === 0) return;
  const decoder = openDecoder(workers ?? defaultWorkers(fast));
  const {resize, crop, interpolation} = recipe;
  const window = Math.max(prefetch * batchSize, 2 * decoder.parallel);
  const evaluation = {recipe: {resize, crop, interpolation}, fast};
  const optionsAt = (i: number): PrepareOptions =>
    training ? {transform: training.transform, stream: training.streams[i]!} : evaluation;
  const instead = (position: number): Sample | undefined => {
    const index = training?.instead?.(position);
    return index === undefined ? undefined : sampleAt(dataset, index);
  };
  const reading = new Reading(samples, decoder, {optionsAt, instead}, window);
  const fill = batchFiller(options);
  try {
    for (let start = 0; start < samples.length; start += batchSize) {
      yield await fill(samples.slice(start, start + batchSize), start, (position) => reading.take(position));
    }
  } finally {
    reading.stop();
    await decoder.close();
  }
}

function sampleAt(dataset: Dataset, index: number): Sample {
  const sample = dataset.samples[index];
  if (!sample) throw new Error(`${dataset.name} has ${dataset.samples.length} samples, there is no ${index}`);
  return sample;
}

/** What came of a position: usually its own sample, after no failure. */
interface Taken {
  readonly sample: Sample;
  readonly image: Image;
  readonly failures: readonly Failure[];
}

interface Positions {
  readonly optionsAt: (position: number) => PrepareOptions;
  readonly instead: (position: number) => Sample | undefined;
}

/** Samples being read and decoded, at most `window` beyond the one that is taken. */
class Reading {
  private readonly started = new Map<number, Promise<Taken>>();
  private next = 0;

  constructor(
    private readonly samples: readonly Sample[],
    private readonly decoder: Decoder,
    private readonly positions: Positions,
    private readonly window: number,
  ) {}

  take(position: number): Promise<Taken> {
    const end = Math.min(position + this.window, this.samples.length);
    for (; this.next < end; this.next++) {
      const taken = this.read(this.next);
      taken.catch(() => {}); // it is looked at when its turn comes
      this.started.set(this.next, taken);
    }
    const taken = this.started.get(position);
    if (!taken) throw new Error(`sample ${position} was taken already`);
    this.started.delete(position);
    return taken;
  }

  stop(): void {
    this.next = this.samples.length;
    this.started.clear();
  }

  private async read(position: number): Promise<Taken> {
    const options = this.positions.optionsAt(position);
    const failures: Failure[] = [];
    for (let sample = this.samples[position]!; ; ) {
      try {
        return {sample, failures, image: await this.decoder.prepare(await sample.read(), options)};
      } catch (error) {
        const other = this.positions.instead(position);
        if (!other) throw error;
        failures.push(failureOf(sample, error, 'skip'));
        sample = other;
      }
    }
  }
}

type Size = Pick<Image, 'width' | 'height'>;

/** Waits for the images of a batch in their order and writes each into its place. Where nothing says the size, the first image of all does. */
function batchFiller({recipe, onError = 'stop', reuse = false, training, side: needed}: LoadOptions) {
  const normalise = normaliser(recipe);
  const side = training?.transform.side ?? recipe.crop ?? needed;
  let size: Size | undefined = side === undefined ? undefined : {width: side, height: side};
  let floats = new Float32Array(0);
  return async (samples: readonly Sample[], start: number, take: (position: number) => Promise<Taken>): Promise<Batch> => {
    const read: Sample[] = [];
    const failures: Failure[] = [];
    if (!reuse) floats = new Float32Array(0);
    for (const [i, own] of samples.entries()) {
      try {
        const {sample, image, failures: before} = await take(start + i);
        failures.push(...before);
        size ??= {width: image.width, height: image.height};
        checkSize(image, size);
        const length = 3 * size.width * size.height;
        if (floats.length === 0) floats = new Float32Array(samples.length * length);
        const planes = floats.subarray(read.length * length, (read.length + 1) * length);
        normalise(image.data, planes);
        if (training?.erasing) erase(random(`${training.streams[start + i]} erasing`), planes, size.width, training.erasing);
        read.push(sample);
      } catch (error) {
        failures.push(failureOf(own, error, onError));
      }
    }
    const {width, height} = size ?? {width: 0, height: 0};
    const shape = [read.length, 3, height, width];
    return {
      images: tensor('float32', shape, floats.subarray(0, read.length * 3 * width * height)),
      labels: Int32Array.from(read, ({label}) => label ?? -1),
      indices: Int32Array.from(read, ({index}) => index),
      failures,
    };
  };
}

function checkSize({width, height}: Size, expected: Size): void {
  if (width === expected.width && height === expected.height) return;
  const needed = `${expected.width}x${expected.height} is needed`;
  throw new GpdError('IMAGE_UNREADABLE', `it is ${width}x${height} where ${needed}, and the recipe crops nothing`, {
    hint: `give images of that size, or choose how they are resized and cropped: --recipe cnn or rvt`,
  });
}

/** A bad image is data; anything else (a broken pool, an unreadable disk) is not, and goes on up. */
function failureOf({path, index}: Sample, error: unknown, onError: 'stop' | 'skip'): Failure {
  if (error instanceof GpdError && error.code !== 'IMAGE_UNREADABLE') throw error;
  const reason = (error as Error).message;
  if (onError === 'skip') return {path, index, reason};
  throw new GpdError('IMAGE_UNREADABLE', `${path}: ${reason}`, {
    at: path,
    data: {path, index, reason},
    hint:
      (error as Partial<GpdError>).hint ??
      'replace or remove the image, or go on without it: --on-error skip counts and lists images like it',
    cause: error,
  });
}
