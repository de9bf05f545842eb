/**
 * CIFAR-10's binary batches: per image a label byte and 3 x 1024 bytes, the red plane first, rows from the top.
 * Format: www.cs.toronto.edu/~kriz/cifar.html, "Binary version".
 */
import {GpdError} from '../core/error.js';
import type {Dataset, Sample} from './dataset.js';
import {compareText, type Entry, fileOf, type Listing} from './entries.js';
import {encodePpm} from './ppm.js';
import {warnings} from './warnings.js';

const SIDE = 32;
const PLANE = SIDE * SIDE;
const RECORD = 1 + 3 * PLANE;
/** batches.meta.txt of the original archive. */
const classNames = ['airplane', 'automobile', 'bird', 'cat', 'deer', 'dog', 'frog', 'horse', 'ship', 'truck'];

const isTest = ({path}: Entry) => fileOf(path) === 'test_batch.bin';
const isTrain = ({path}: Entry) => /^data_batch_[1-5]\.bin$/.test(fileOf(path));
const isPython = ({path}: Entry) => /^(test_batch|data_batch_[1-5]|batches\.meta)$/.test(fileOf(path));

/** A batch that may be named itself. */
export const isCifarFile = (file: string): boolean => /^(data_batch_\d|test_batch).*\.bin$/.test(file);

/** The set in a listing, or undefined where there is none: the test batch if it is there, else the training batches. */
export async function cifarIn(listing: Listing): Promise<Dataset | undefined> {
  const test = listing.entries.filter(isTest);
  const train = listing.entries.filter(isTrain).sort((a, b) => compareText(a.path, b.path));
  if (test.length === 0 && train.length === 0) {
    if (listing.entries.some(isPython)) throw pythonBatches(listing.name);
    return undefined;
  }
  const unused = test.length > 0 ? train.map(({path}) => path) : [];
  const batches = await Promise.all(
    (test.length > 0 ? test : train).map(async (entry) => ({path: entry.path, bytes: await entry.read()})),
  );
  return {
    ...cifarDataset(listing.name, batches),
    warnings: [...listing.warnings, ...warnings('other-batches', unused)],
    close: () => listing.close(),
  };
}

export function cifarDataset(name: string, batches: readonly {path: string; bytes: Uint8Array}[]): Dataset {
  const samples: Sample[] = [];
  for (const {path, bytes} of batches) {
    if (bytes.length === 0 || bytes.length % RECORD !== 0) {
      throw new GpdError('DATASET_INVALID', `${path}: ${bytes.length} bytes are not a whole number of ${RECORD}-byte records`, {
        at: path,
        hint: 'download it again; CIFAR-100 is not read',
      });
    }
    for (let at = 0; at < bytes.length; at += RECORD) {
      const label = bytes[at]!;
      if (label >= classNames.length) {
        throw new GpdError('DATASET_INVALID', `${path}: the label ${label} of image ${at / RECORD} is none of 0 to 9`, {
          at: `${path}@${at}`,
        });
      }
      const record = bytes.subarray(at + 1, at + RECORD);
      samples.push({index: samples.length, path: `${path}#${at / RECORD}`, label, read: async () => asPpm(record)});
    }
  }
  return {name, samples, classes: classNames, warnings: [], async close() {}};
}

/** Planes to pixels, in the simplest of formats: the loader decodes every sample from its bytes. */
function asPpm(planes: Uint8Array): Uint8Array {
  const data = new Uint8Array(planes.length);
  for (let i = 0; i < PLANE; i++) for (let c = 0; c < 3; c++) data[i * 3 + c] = planes[c * PLANE + i]!;
  return encodePpm({width: SIDE, height: SIDE, data});
}

const pythonBatches = (name: string) =>
  new GpdError('DATASET_INVALID', `${name}: CIFAR-10 as Python pickles is not read`, {
    at: name,
    hint: 'use the binary version (cifar-10-binary.tar.gz) from the same page',
  });
