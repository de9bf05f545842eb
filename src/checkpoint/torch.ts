/** PyTorch's zip container (since 1.6): `<root>/data.pkl`, the numbers in `<root>/data/<key>`. See docs/formats.md. */
import {ByteReader, type ByteSource} from '../core/bytes.js';
import {GpdError} from '../core/error.js';
import {type MemoryBudget, ViewBudget} from '../core/memory-budget.js';
import {crc32} from './crc32.js';
import type {Storages} from './lazy-tensor.js';
import {readPickle} from './pickle.js';
import type {PlainData, StorageRef} from './plain-data.js';
import {bigEndian, storageRegistry} from './torch-storage.js';
import {badCrc, type CrcResult, readRecord, readZip, verifyCrc, type ZipArchive, type ZipEntry} from './zip.js';
import {zipProblem} from './zip-directory.js';

/** The CRC-32 of a range of the file. */
export interface Checksum {
  readonly offset: number;
  readonly length: number;
  readonly crc: number;
}

/** A PyTorch file: the object tree, and where the storages lie. */
export interface TorchFile extends Storages {
  readonly format: 'torch-zip' | 'torch-legacy';
  readonly root: PlainData;
  /** Objects that became inert data: how many of which class. */
  readonly inert: ReadonlyMap<string, number>;
  /** Every storage that the object tree mentions. */
  readonly storages: ReadonlyMap<string, StorageRef>;
  /** The checksum that the container has for a storage, if it has one. */
  readonly checksum: (storage: StorageRef) => Checksum | undefined;
  /** Reads all bytes of a storage and compares them with its checksum, where the container has one. */
  readonly verify: (storage: StorageRef) => CrcResult;
}

export function readTorchZip(source: ByteSource, budget: MemoryBudget): TorchFile {
  const archive = readZip(source, budget);
  const {folder, entry} = findPickle(archive);
  if (byteOrder(archive, `${folder}/byteorder`) === 'big') throw bigEndian(source.name);
  const registry = storageRegistry();
  const reader = new ByteReader(readRecord(archive, entry), `${source.name}:${entry.name}`);
  const {root, inert} = readPickle(reader, registry.load, budget);
  if (reader.remaining > 0) {
    throw new GpdError('PICKLE_INVALID', `${reader.name}: ${reader.remaining} bytes follow the end of the pickle`, {
      at: `${reader.name}@${reader.offset}`,
      hint: 'the file is damaged or was made to deceive: get it again from its source',
    });
  }
  const storageEntry = ({key}: StorageRef) => storedEntry(archive, `${folder}/data/${key}`);
  return {
    format: 'torch-zip',
    root,
    inert,
    storages: registry.storages,
    views: new ViewBudget(source.size),
    locate(storage) {
      const entry = storageEntry(storage);
      return entry && {offset: entry.dataOffset, length: entry.size, check: (bytes) => checkCrc(archive, entry, bytes)};
    },
    checksum(storage) {
      const entry = storageEntry(storage);
      return entry && entry.crc !== 0 ? {offset: entry.dataOffset, length: entry.size, crc: entry.crc} : undefined;
    },
    verify(storage) {
      const entry = storageEntry(storage);
      return entry ? verifyCrc(archive, entry) : 'not-recorded';
    },
  };
}

/** The record since PyTorch 2.1: exactly 'little' or 'big', as torch.load reads it. Undefined where an older version wrote the file. */
function byteOrder(archive: ZipArchive, name: string): string | undefined {
  const entry = archive.entries.get(name);
  if (!entry) return undefined;
  const order = entry.size <= 'little'.length ? new TextDecoder('latin1').decode(readRecord(archive, entry)) : undefined;
  if (order === 'little' || order === 'big') return order;
  throw zipProblem(archive.source, `'${name}' says neither 'little' nor 'big'`, entry.headerOffset);
}

/** The root folder's name is arbitrary ('archive', 'tmp.pth', the file's stem); there is one. */
function findPickle(archive: ZipArchive): {folder: string; entry: ZipEntry} {
  const {name} = archive.source;
  const found = [...archive.entries.values()].filter((entry) => /^[^/]+\/data\.pkl$/.test(entry.name));
  const [entry, second] = found;
  if (second) {
    throw new GpdError('CHECKPOINT_CORRUPT', `${name}: two pickles, '${entry!.name}' and '${second.name}'`, {
      at: `${name}@${second.headerOffset}`,
      hint: 'save the checkpoint again with torch.save',
    });
  }
  if (!entry) throw noPickle(archive);
  return {folder: entry.name.slice(0, -'/data.pkl'.length), entry};
}

/** What other zip files are: pattern on an entry's name → what the file is, what to do. */
const otherZips: readonly [pattern: RegExp, what: string, hint: string][] = [
  [
    /(^|\/)(serialized_exported_program\.json|archive_format|models\/[^/]+\.json|aotinductor\/.*)$/,
    'a program of torch.export (.pt2)',
    'save its weights alone: torch.save(torch.export.load(PATH).state_dict, NEW_PATH), and convert that',
  ],
  [/^MAR-INF\//, 'a TorchServe archive (.mar)', 'unpack it with unzip, and give the checkpoint inside'],
  [/(^|\/)\.data\/extern_modules$/, 'a torch.package archive, with code', 'save model.state_dict() instead, and convert that'],
  [/^Data\/com\.apple\.CoreML\//, 'a Core ML package', 'only PyTorch checkpoints and safetensors are read'],
  [/\.npy$/, 'a numpy .npz archive', 'save the weights with torch.save or as safetensors'],
  [/^(metadata|config)\.json$|\.weights\.h5$/, 'a Keras model', 'only PyTorch checkpoints and safetensors are read'],
  [/^word\/|^xl\/|^ppt\//, 'an office document', 'check the path'],
  [/^META-INF\//, 'a Java archive', 'check the path'],
  [/\.(pth|pt|tar|pkl|th|ckpt|safetensors)$/, 'a zip archive around a checkpoint', 'unpack it first'],
];

function noPickle({source, entries}: ZipArchive): GpdError {
  const names = [...entries.keys()];
  const other = otherZips.find(([pattern]) => names.some((name) => pattern.test(name)));
  if (!other && names.some((name) => /^[^/]+\/(data\/|version$)/.test(name))) {
    return new GpdError(
      'CHECKPOINT_CORRUPT',
      `${source.name}: a PyTorch archive without its data.pkl, which names the tensors`,
      {
        at: source.name,
        hint: 'the file is incomplete: get it again from its source',
      },
    );
  }
  return new GpdError(
    'FORMAT_UNKNOWN',
    `${source.name}: is ${other?.[1] ?? `a zip archive of ${names.length} files without a data.pkl`}, not a PyTorch checkpoint`,
    {
      at: source.name,
      hint: other?.[2] ?? 'give the file that torch.save wrote, not an archive of other files',
    },
  );
}

/** Storages are read in place, so they must be stored; torch.save never compresses. */
function storedEntry(archive: ZipArchive, name: string): ZipEntry | undefined {
  const entry = archive.entries.get(name);
  if (entry && entry.method !== 0) {
    throw new GpdError('CHECKPOINT_CORRUPT', `${archive.source.name}: storage '${name}' is compressed`, {
      at: `${archive.source.name}@${entry.headerOffset}`,
      hint: 'the file was repacked: save the checkpoint again with torch.save',
    });
  }
  return entry;
}

function checkCrc(archive: ZipArchive, entry: ZipEntry, bytes: Uint8Array): void {
  if (entry.crc !== 0 && crc32(bytes) !== entry.crc) throw badCrc(archive, entry);
}
