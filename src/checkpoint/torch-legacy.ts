/**
 * PyTorch's container before 1.6, still written with `_use_new_zipfile_serialization=False`: five pickles in a row (magic number,
 * protocol, system, object, storage keys), then per key an int64 element count and the numbers. Source: torch/serialization.py,
 * `_legacy_save`. The yet older tar container is refused: half-support of it was CVE-2025-32434.
 */
import {ByteReader, type ByteSource} from '../core/bytes.js';
import {GpdError} from '../core/error.js';
import {MemoryBudget, ViewBudget} from '../core/memory-budget.js';
import {dtypes} from '../core/tensor.js';
import type {StoragePlace} from './lazy-tensor.js';
import {readPickle} from './pickle.js';
import type {PersistentLoad} from './pickle-machine.js';
import {isMap, type PlainData, type StorageRef} from './plain-data.js';
import type {TorchFile} from './torch.js';
import {bigEndian, storageRegistry} from './torch-storage.js';

export const LEGACY_MAGIC = 0x1950a86a20f9469cfc6cn;
export const LEGACY_PROTOCOL = 1001;

/** Enough for every network that is read here; a larger file is read in larger steps. */
const FIRST_WINDOW = 1 << 20;
/** Pickles of real checkpoints stay below 1 MB. */
const MAX_PICKLES = 64 << 20;

export function readTorchLegacy(source: ByteSource): TorchFile {
  const head = readHead(source);
  const places = locateStorages(source, head);
  return {
    format: 'torch-legacy',
    root: head.root,
    inert: head.inert,
    storages: head.storages,
    views: new ViewBudget(source.size),
    locate: ({key}) => places.get(key),
    checksum: () => undefined,
    verify: () => 'not-recorded',
  };
}

interface Head {
  root: PlainData;
  inert: ReadonlyMap<string, number>;
  storages: ReadonlyMap<string, StorageRef>;
  keys: readonly PlainData[];
  /** Where the pickles end and the numbers begin. */
  end: number;
}

/** The pickles do not say how long they are, so the window on the file grows until they fit: linear in their length. */
function readHead(source: ByteSource): Head {
  for (let window = Math.min(FIRST_WINDOW, source.size); ; window = Math.min(2 * window, source.size)) {
    try {
      return readPickles(new ByteReader(source.read(0, window), source.name), new MemoryBudget(source.name, source.size));
    } catch (error) {
      const more = error instanceof GpdError && error.code === 'CHECKPOINT_TRUNCATED' && window < source.size;
      if (!more) throw error;
      if (window >= MAX_PICKLES) {
        throw new GpdError('LIMIT_EXCEEDED', `${source.name}: its pickles do not end within ${MAX_PICKLES} bytes`, {
          at: source.name,
          hint: 'the file is damaged, or is not a checkpoint of a network',
        });
      }
    }
  }
}

const noStorages: PersistentLoad = (_, machine) => {
  throw machine.invalid('a storage where none belongs');
};

function readPickles(reader: ByteReader, budget: MemoryBudget): Head {
  const expect = (ok: boolean, problem: string) => {
    if (!ok) throw corrupt(reader.name, problem, reader.offset);
  };
  expect(readPickle(reader, noStorages, budget).root === LEGACY_MAGIC, 'the magic number is wrong');
  expect(readPickle(reader, noStorages, budget).root === LEGACY_PROTOCOL, 'the protocol number is not 1001');
  const {root: system} = readPickle(reader, noStorages, budget);
  expect(isMap(system), 'the system information is not a dict');
  if (isMap(system) && system.get('little_endian') === false) throw bigEndian(reader.name);
  const registry = storageRegistry();
  const {root, inert} = readPickle(reader, registry.load, budget);
  const {root: keys} = readPickle(reader, noStorages, budget);
  expect(Array.isArray(keys), 'the list of storages is not a list');
  return {root, inert, storages: registry.storages, keys: keys as PlainData[], end: reader.offset};
}

function locateStorages(source: ByteSource, {keys, storages, end}: Head): ReadonlyMap<string, StoragePlace> {
  const places = new Map<string, StoragePlace>();
  let at = end;
  for (const key of keys) {
    const storage = typeof key === 'string' ? storages.get(key) : undefined;
    if (!storage) throw corrupt(source.name, 'lists a storage that no tensor uses, so that its dtype is unknown', at);
    if (places.has(storage.key)) throw corrupt(source.name, `lists storage '${storage.key}' twice`, at);
    const count = new ByteReader(source.read(at, 8), source.name).u64();
    if (count !== BigInt(storage.count))
      throw corrupt(source.name, `storage '${storage.key}' has ${count} elements, its tensors need ${storage.count}`, at);
    const length = storage.count * dtypes[storage.dtype].bytes;
    if (at + 8 + length > source.size) throw cut(source, storage, at + 8 + length);
    places.set(storage.key, {offset: at + 8, length});
    at += 8 + length;
  }
  if (at !== source.size) throw corrupt(source.name, `${source.size - at} bytes follow the last storage`, at);
  return places;
}

const corrupt = (name: string, problem: string, at: number): GpdError =>
  new GpdError('CHECKPOINT_CORRUPT', `${name}: ${problem}`, {
    at: `${name}@${at}`,
    hint: 'the file is damaged: download it again or save it again with torch.save',
  });

const cut = (source: ByteSource, {key}: StorageRef, end: number): GpdError =>
  new GpdError('CHECKPOINT_TRUNCATED', `${source.name}: storage '${key}' ends at byte ${end}, the file has ${source.size}`, {
    at: `${source.name}@${source.size}`,
    hint: 'the file is incomplete: download or copy it again',
  });
