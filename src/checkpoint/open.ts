/** A checkpoint of any container as what the rest of the toolkit works with: a state dict of lazy tensors, and what else the file says. */
import type {ByteSource} from '../core/bytes.js';
import {GpdError} from '../core/error.js';
import {costs, MemoryBudget} from '../core/memory-budget.js';
import type {StateDict, TensorSource} from '../core/tensor.js';
import {cutText, jsonLimit, toJson} from './describe-tree.js';
import {type IgnoredEntry, ignoredEntries} from './ignored-entries.js';
import {lazyTensor} from './lazy-tensor.js';
import {
  isKind,
  isMap,
  isScalar,
  isTensor,
  keyText,
  type PlainData,
  type PlainMap,
  type PlainScalar,
  type StorageRef,
  type TensorRef,
} from './plain-data.js';
import {readSafetensors} from './safetensors.js';
import {type CheckpointFormat, sniff} from './sniff.js';
import {
  type AvailableStateDict,
  availableStateDicts,
  chooseStateDict,
  commonPrefix,
  type StateDictChoice,
} from './state-dicts.js';
import {type Checksum, readTorchZip, type TorchFile} from './torch.js';
import {readTorchLegacy} from './torch-legacy.js';

/** Which weights of a checkpoint are meant. */
export type OpenOptions = StateDictChoice;

export interface CrcReport {
  /** Storages whose bytes were compared with their checksum, and how many bytes that were. */
  readonly checked: number;
  readonly bytes: number;
  /** Tensors over storages that do not match. */
  readonly mismatches: readonly string[];
  /** Storages without a usable checksum: legacy and safetensors files have none, newer PyTorch can be told not to write them. */
  readonly notRecorded: number;
}

/** An open checkpoint: its tensors are read from the file when they are asked for, until it is closed. */
export interface Checkpoint {
  readonly name: string;
  readonly format: CheckpointFormat;
  /** Keys without `prefix`, in the file's order. */
  readonly stateDict: StateDict;
  /** Which top-level entry it is; null where the file is the state dict. */
  readonly stateDictKey: string | null;
  readonly available: readonly AvailableStateDict[];
  /** What was taken off every key: 'module.' or ''. */
  readonly prefix: string;
  /** The training options, as JSON values. */
  readonly args: ReadonlyMap<string, unknown> | undefined;
  /** Plain top-level values: epoch, arch, metric, version …; for safetensors its metadata. */
  readonly meta: ReadonlyMap<string, PlainScalar>;
  /** Every entry that was not used, with the reason. */
  readonly ignored: readonly IgnoredEntry[];
  readonly warnings: readonly string[];
  /** The whole object tree, for inspection. */
  readonly root: PlainData;
  /** A tensor from anywhere in it, by its reference; `name` is for messages. */
  tensor(ref: TensorRef, name: string): TensorSource;
  /** Compares the bytes behind these tensors (default: the whole state dict) with their CRC-32. Reads them in full. */
  verifyCrc(keys?: Iterable<string>): CrcReport;
  /** The checksums of the storages behind the state dict, each with the tensors that lie in it: for whoever reads the file anyway. */
  checksums(): StorageChecksum[];
  close(): void;
}
export interface StorageChecksum extends Checksum {
  readonly keys: readonly string[];
}

/** Takes over the source: it is closed with the checkpoint, or here where the file is refused. */
export function openCheckpoint(source: ByteSource, options: OpenOptions = {}): Checkpoint {
  try {
    const format = sniff(source);
    const budget = new MemoryBudget(source.name, source.size);
    if (format === 'safetensors') return openSafetensors(source, budget, options);
    const file = format === 'torch-zip' ? readTorchZip(source, budget) : readTorchLegacy(source);
    return openTorch(source, file, budget, options);
  } catch (error) {
    source.close();
    throw error;
  }
}

function openTorch(source: ByteSource, file: TorchFile, budget: MemoryBudget, options: OpenOptions): Checkpoint {
  const {root} = file;
  const available = availableStateDicts(root, budget);
  const {key: stateDictKey, dict} = chooseStateDict(source.name, root, available, options);
  const tensors = [...dict].filter(([key, value]) => typeof key === 'string' && isTensor(value)).map(([key]) => key as string);
  const ignored = ignoredEntries(root, stateDictKey, dict);
  budget.spend(costs.tensor * tensors.length + costs.reported * ignored.length);
  const prefix = commonPrefix(tensors);
  const stateDict = new Map<string, TensorSource>();
  const storageOf = new Map<string, StorageRef>();
  for (const key of tensors) {
    const ref = dict.get(key);
    if (!isTensor(ref)) continue;
    stateDict.set(key.slice(prefix.length), lazyTensor(source, key, ref, file));
    storageOf.set(key.slice(prefix.length), ref.storage);
  }
  const top = isMap(root) && stateDictKey !== null ? root : new Map<PlainData, PlainData>();
  const warnings = prefixWarning(tensors, prefix);
  return {
    name: source.name,
    format: file.format,
    stateDict,
    stateDictKey,
    available,
    prefix,
    args: readArgs(top.get('args')),
    meta: scalarsOf(top),
    ignored,
    warnings,
    root,
    tensor: (ref, name) => lazyTensor(source, name, ref, file),
    verifyCrc: (keys = stateDict.keys()) => verify(file, storageOf, keys),
    checksums: () => checksumsOf(file, storageOf),
    close: () => source.close(),
  };
}

function openSafetensors(source: ByteSource, budget: MemoryBudget, {ema, key}: OpenOptions): Checkpoint {
  const {tensors, metadata} = readSafetensors(source, budget);
  if (tensors.size === 0 || ema || key !== undefined) {
    const problem =
      tensors.size === 0 ? 'holds no tensors' : `a safetensors file holds one state dict, not ${key ?? 'an EMA one beside it'}`;
    throw new GpdError('STATE_DICT_NOT_FOUND', `${source.name}: ${problem}`, {
      at: source.name,
      hint: 'give the file that has these weights, without the option',
    });
  }
  const keys = [...tensors.keys()];
  const prefix = commonPrefix(keys);
  return {
    name: source.name,
    format: 'safetensors',
    stateDict: new Map([...tensors].map(([k, tensor]) => [k.slice(prefix.length), tensor])),
    stateDictKey: null,
    available: [{key: null, tensors: tensors.size, bytes: source.size}],
    prefix,
    args: undefined,
    meta: metadata,
    ignored: [],
    warnings: prefixWarning(keys, prefix),
    root: new Map<PlainData, PlainData>(metadata),
    tensor: (_, name) => {
      throw new Error(`${source.name} has no tree that could refer to '${name}'`);
    },
    verifyCrc: () => ({checked: 0, bytes: 0, mismatches: [], notRecorded: tensors.size}),
    checksums: () => [],
    close: () => source.close(),
  };
}

/** argparse.Namespace from the original saver, a dict from others. */
function readArgs(args: PlainData | undefined): ReadonlyMap<string, unknown> | undefined {
  const limit = jsonLimit();
  if (isKind(args, 'namespace')) return new Map([...args.fields].map(([name, value]) => [name, toJson(value, limit)]));
  if (isMap(args)) return new Map([...args].map(([name, value]) => [keyText(name), toJson(value, limit)]));
  return undefined;
}

function scalarsOf(top: PlainMap): Map<string, PlainScalar> {
  const scalars = new Map<string, PlainScalar>();
  const limit = jsonLimit();
  for (const [key, value] of top)
    if (isScalar(value)) scalars.set(keyText(key), typeof value === 'string' ? cutText(value, limit) : value);
  return scalars;
}

function prefixWarning(keys: readonly string[], prefix: string): string[] {
  const some = keys.filter((key) => key.startsWith('module.')).length;
  return prefix === '' && some > 0
    ? [`${some} of ${keys.length} keys begin with 'module.'; it was kept, because not all do`]
    : [];
}

function checksumsOf(file: TorchFile, storageOf: ReadonlyMap<string, StorageRef>): StorageChecksum[] {
  const keysOf = new Map<StorageRef, string[]>();
  for (const [key, storage] of storageOf) {
    const keys = keysOf.get(storage);
    if (keys) keys.push(key);
    else keysOf.set(storage, [key]);
  }
  return [...keysOf].flatMap(([storage, keys]) => {
    const checksum = file.checksum(storage);
    return checksum ? [{...checksum, keys}] : [];
  });
}

function verify(file: TorchFile, storageOf: ReadonlyMap<string, StorageRef>, keys: Iterable<string>): CrcReport {
  const report = {checked: 0, bytes: 0, mismatches: [] as string[], notRecorded: 0};
  const results = new Map<StorageRef, boolean>(); // storages that tensors share are read once
  for (const key of keys) {
    const storage = storageOf.get(key);
    if (!storage) throw new Error(`no tensor '${key}' to verify`);
    if (!results.has(storage)) {
      const result = file.verify(storage);
      results.set(storage, result !== 'mismatch');
      if (result === 'not-recorded') report.notRecorded++;
      else report.checked++;
      if (result !== 'not-recorded') report.bytes += file.locate(storage)?.length ?? 0;
    }
    if (results.get(storage) === false) report.mismatches.push(key);
  }
  return report;
}
