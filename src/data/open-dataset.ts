/** A path to a dataset: what it is is decided by what lies there, not by its name. */
import {statSync} from 'node:fs';
import {basename} from 'node:path';
import {type ByteSource, fileSource} from '../core/bytes.js';
import {GpdError} from '../core/error.js';
import {cifarDataset, cifarIn} from './cifar.js';
import type {Dataset} from './dataset.js';
import type {Listing} from './entries.js';
import {listFolder} from './folder.js';
import {gunzipToTemporary} from './gunzip.js';
import {imageKind} from './image-kind.js';
import type {LabelBase} from './label-base.js';
import {readLabelFile} from './labels.js';
import {organise, withoutTopFolder} from './organise.js';
import {listTar} from './tar.js';
import {isEmptyBlock, parseTarHeader, TAR_BLOCK_BYTES} from './tar-header.js';
import {aboutImages, refuseWarnings, warnings} from './warnings.js';

export interface OpenDatasetOptions {
  /** A file of labels, or of class names in label order: see `labels.ts`. */
  readonly labels?: string | undefined;
  /** What the first class is in it, where the numbers alone do not tell. */
  readonly labelBase?: LabelBase | undefined;
  /** How many outputs the model has that is evaluated: decides how labels count, and which are none. */
  readonly outputs?: number | undefined;
  /** Only the pixels are used: what is wrong with labels is of no concern. Default false. */
  readonly imagesOnly?: boolean;
  /** Warnings are errors. Default false. */
  readonly strict?: boolean | undefined;
}

/**
 * A folder, a .tar or .tar.gz of one, or a CIFAR-10 batch. Throws DATASET_INVALID for what is none, for labels that do not fit or may be
 * read in two ways, and, if `strict`, for every warning.
 */
export async function openDataset(path: string, options: OpenDatasetOptions = {}): Promise<Dataset> {
  const dataset = await openAny(path, options);
  const said = options.imagesOnly ? aboutImages(dataset.warnings) : dataset.warnings;
  try {
    if (options.strict) refuseWarnings(path, said);
  } catch (error) {
    await dataset.close();
    throw error;
  }
  return {...dataset, warnings: said};
}

async function openAny(path: string, {labels, labelBase, outputs}: OpenDatasetOptions): Promise<Dataset> {
  const file = labels === undefined ? undefined : readLabelFile(labels);
  const kind = kindOf(path);
  if (kind === 'cifar') return withOwnLabels(cifarFile(path), labels);
  const listing = kind === 'folder' ? await listFolder(path) : withoutTopFolder(await listArchive(path, kind));
  try {
    const cifar = await cifarIn(listing);
    return cifar ? withOwnLabels(cifar, labels) : organise(listing, file, {outputs, base: labelBase});
  } catch (error) {
    await listing.close();
    throw error;
  }
}

const withOwnLabels = (dataset: Dataset, labels: string | undefined): Dataset => ({
  ...dataset,
  warnings: [
    ...dataset.warnings,
    ...warnings('labels-not-read', labels === undefined ? [] : [labels], 'the batches have their own'),
  ],
});

async function listArchive(path: string, kind: 'tar' | 'gzip'): Promise<Listing> {
  if (kind === 'tar') return listTar(path);
  const unpacked = await gunzipToTemporary(path);
  try {
    const listing = await listTar(unpacked.path, path);
    unpacked.opened();
    const close = async () => {
      await listing.close();
      unpacked.remove();
    };
    return {...listing, close};
  } catch (error) {
    unpacked.remove();
    throw error;
  }
}

function kindOf(path: string): 'folder' | 'tar' | 'gzip' | 'cifar' {
  if (statSync(path, {throwIfNoEntry: false})?.isDirectory()) return 'folder';
  const source = fileSource(path);
  try {
    return fileKind(path, source);
  } finally {
    source.close();
  }
}

function fileKind(path: string, source: ByteSource): 'tar' | 'gzip' | 'cifar' {
  const head = source.read(0, Math.min(source.size, TAR_BLOCK_BYTES));
  if (head[0] === 0x1f && head[1] === 0x8b) return 'gzip';
  if (parseTarHeader(head)) return 'tar';
  if (/^(data_batch_\d|test_batch).*\.bin$/.test(basename(path))) return 'cifar';
  if (head.length === TAR_BLOCK_BYTES && isEmptyBlock(head)) return 'tar'; // an empty one
  throw new GpdError('DATASET_INVALID', `${path}: ${whatItIs(head)}`, {
    at: path,
    hint: 'give a folder or a .tar or .tar.gz with <class>/<image>, or a CIFAR-10 batch (.bin)',
  });
}

/** By their first bytes. */
const OTHERS: readonly (readonly [magic: string, what: string])[] = [
  ['PK\x03\x04', 'zip archives are not read, nor .npz, which is one; unpack it and give the folder'],
  ['BZh', 'bzip2 archives are not read; unpack it (bunzip2) and give the .tar'],
  ['\xfd7zXZ\0', 'xz archives are not read; unpack it (unxz) and give the .tar'],
  ['\x28\xb5\x2f\xfd', 'zstd archives are not read; unpack it (unzstd) and give the .tar'],
  ['7z\xbc\xaf', '7z archives are not read; unpack it and give the folder'],
  ['Rar!', 'rar archives are not read; unpack it and give the folder'],
  ['PAR1', 'parquet files are not read; write its images into class folders'],
  ['\x89HDF', 'HDF5 files are not read; write its images into class folders'],
];

function whatItIs(head: Uint8Array): string {
  const start = String.fromCharCode(...head.subarray(0, 8));
  const other = OTHERS.find(([magic]) => start.startsWith(magic));
  if (other) return other[1];
  if (imageKind(head)) return 'is a single image, not a set of them';
  return 'is no set of images that is read here';
}

function cifarFile(path: string): Dataset {
  const source = fileSource(path);
  try {
    return cifarDataset(path, [{path, bytes: source.read(0, source.size)}]);
  } finally {
    source.close();
  }
}
