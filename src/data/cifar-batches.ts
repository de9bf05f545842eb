/** The batches of CIFAR's two forms: records of labels and planes, or a pickled dict of an array and of lists. */
import type {PlainData} from '../checkpoint/plain-data.js';
import {GpdError} from '../core/error.js';
import {PickledArray, readBatchPickle} from './batch-pickle.js';
import type {LabelValue} from './own-labels.js';

export interface CifarBatch {
  readonly path: string;
  readonly count: number;
  /** Pixels a side. */
  readonly side: number;
  /** Of each kind of label, those of all images. */
  readonly labels: ReadonlyMap<string, readonly LabelValue[]>;
  /** The red, green and blue planes of an image: a view. */
  planesAt(image: number): Uint8Array;
}

const BINARY_SIDE = 32;
const BINARY_PLANES = 3 * BINARY_SIDE ** 2;

/** Per image a byte for each label, then the planes. */
export function binaryBatch(path: string, bytes: Uint8Array, kinds: readonly string[]): CifarBatch {
  const record = kinds.length + BINARY_PLANES;
  if (bytes.length === 0 || bytes.length % record !== 0) {
    throw invalid(path, `${bytes.length} bytes are not a whole number of ${record}-byte records`);
  }
  const count = bytes.length / record;
  const ofKind = (kind: number) => Array.from({length: count}, (_, i) => bytes[i * record + kind]!);
  return {
    path,
    count,
    side: BINARY_SIDE,
    labels: new Map(kinds.map((name, kind) => [name, ofKind(kind)])),
    planesAt: (i) => bytes.subarray(i * record + kinds.length, (i + 1) * record),
  };
}

const LABELS = ['labels', 'fine_labels', 'coarse_labels'];

/** A dict with `data`, [images, 3·side·side] of bytes, and lists of labels. */
export function pickledBatch(path: string, file: Uint8Array): CifarBatch {
  const dict = readBatchPickle(path, file);
  const data = dict.get('data');
  if (!(data instanceof PickledArray)) throw invalid(path, "it has no array 'data'");
  const {shape, dtype, bytes} = data;
  const [count = 0, ...rest] = shape;
  const length = rest.reduce((a, b) => a * b, 1);
  const side = Math.sqrt(length / 3);
  const isPlanar = rest.length === 1 || (rest.length === 3 && rest[0] === 3);
  if (dtype !== 'u1' || count === 0 || !isPlanar || !Number.isInteger(side) || side === 0) {
    throw invalid(path, `its data are ${dtype} of [${shape.join(', ')}], not bytes of three square planes`);
  }
  const labels = new Map(
    LABELS.flatMap((name) => {
      const value = dict.get(name);
      return value === undefined ? [] : [[name, labelsOf(path, value, count)] as const];
    }),
  );
  return {path, count, side, labels, planesAt: (i) => bytes.subarray(i * length, (i + 1) * length)};
}

function labelsOf(path: string, value: PlainData, count: number): readonly LabelValue[] {
  const labels = value instanceof PickledArray ? numbersOf(value) : value;
  const areLabels = Array.isArray(labels) && labels.every((label) => typeof label === 'number');
  if (!areLabels || labels.length !== count) throw invalid(path, `it has no number as a label for each of its ${count} images`);
  return labels as number[];
}

/** Whole numbers, little-endian: no label is so large that the sign or the upper half mattered. */
function numbersOf({bytes, dtype}: PickledArray): number[] {
  const width = Number(dtype.slice(1));
  const numbers: number[] = [];
  for (let at = 0; at < bytes.length; at += width) {
    let value = 0;
    for (let k = Math.min(width, 4) - 1; k >= 0; k--) value = value * 256 + bytes[at + k]!;
    numbers.push(value);
  }
  return numbers;
}

const invalid = (path: string, problem: string): GpdError =>
  new GpdError('DATASET_INVALID', `${path}: ${problem}`, {at: path, hint: 'download it again from its own page'});
