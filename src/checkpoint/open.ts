/** A checkpoint of any container as what the rest of the toolkit works with: a state dict of lazy tensors, and what else the file says. */
import type {ByteSource} from '../core/bytes.js';
import {GpdError} from '../core/error.js';
import {costs, MemoryBudget} from '../core/memory-budget.js';
import type {TensorSource} from '../core/tensor.js';
import type {Checkpoint, CrcReport, StorageChecksum} from './checkpoint.js';
import type {CheckpointSource} from './checkpoint-source.js';
import {cutText, jsonLimit, toJson} from './describe-tree.js';
import {findStateDicts, isNumbers} from './find-state-dicts.js';
import {containersAround, type IgnoredEntry, ignoredEntries} from './ignored-entries.js';
import {lazyTensor} from './lazy-tensor.js';
import {arrayTensor} from './numpy-array.js';
import {
  asMap,
  childrenOf,
  isKind,
  isScalar,
  isTensor,
  type PlainData,
  type PlainScalar,
  type StorageRef,
} from './plain-data.js';
import {readSafetensors} from './safetensors.js';
import {openSharded} from './sharded.js';
import {sniff} from './sniff.js';
import {
  available,
  type ChosenStateDict,
  candidatesIn,
  chooseStateDict,
  commonPrefix,
  isAverageCounter,
  keyOfStateDict,
  type StateDictChoice,
} from './state-dicts.js';
import {readTorchZip, type TorchFile} from './torch.js';
import {readTorchLegacy} from './torch-legacy.js';

/** Which weights of a checkpoint are meant. */
export interface OpenOptions extends StateDictChoice {
  /** What to do with a file that has no such state dict. `keep`: its tensors are none, and `problem` says why. Default: `refuse`. */
  withoutStateDict?: 'refuse' | 'keep';
}

/** Takes over the source: it is closed with the checkpoint, or here where the file is refused. */
export function openCheckpoint(source: ByteSource | CheckpointSource, options: OpenOptions = {}): Checkpoint {
  try {
    const shards = 'shards' in source ? source.shards : undefined;
    if (shards) {
      refuseChoice(source.name, options);
      return openSharded(source as CheckpointSource, shards, (file) => openCheckpoint(file));
    }
    const checkpoint = openFile(source, options);
    return 'notes' in source ? {...checkpoint, warnings: [...source.notes, ...checkpoint.warnings]} : checkpoint;
  } catch (error) {
    source.close();
    throw error;
  }
}

function openFile(source: ByteSource, options: OpenOptions): Checkpoint {
  const format = sniff(source);
  const budget = new MemoryBudget(source.name, source.size);
  if (format === 'safetensors') return openSafetensors(source, budget, options);
  const file = format === 'torch-zip' ? readTorchZip(source, budget) : readTorchLegacy(source);
  return openTorch(source, file, budget, options);
}

/** A safetensors file, and a checkpoint in several files, are one state dict without a name. */
function refuseChoice(name: string, {ema, key}: OpenOptions): void {
  if (!ema && (key === undefined || key === '.')) return;
  const problem = `a safetensors file or a checkpoint in parts holds one state dict, not ${key === undefined ? 'an averaged one beside it' : `'${key}'`}`;
  throw new GpdError('STATE_DICT_NOT_FOUND', `${name}: ${problem}`, {
    at: name,
    hint: 'give the file that has these weights, without the option',
  });
}

function openTorch(source: ByteSource, file: TorchFile, budget: MemoryBudget, options: OpenOptions): Checkpoint {
  const {root} = file;
  const search = findStateDicts(root, budget);
  const candidates = candidatesIn(search);
  const {chosen, problem} = choose(() => chooseStateDict(source.name, root, search, options, budget), options);
  const {dict, averaged, notes} = chosen;
  const around = containersAround(root, chosen.path);
  const {counters, keys} = keysOf(chosen);
  const ignored = problem ? [] : [...ignoredEntries(root, chosen), ...counters];
  budget.spend(costs.tensor * keys.length + costs.reported * ignored.length);
  const prefix = commonPrefix(keys);
  const stateDict = new Map<string, TensorSource>();
  const storageOf = new Map<string, StorageRef | undefined>();
  for (const key of keys) {
    const value = dict.get(key);
    const short = key.slice(prefix.length);
    if (isTensor(value)) stateDict.set(short, lazyTensor(source, key, value, file));
    else if (isKind(value, 'array')) stateDict.set(short, arrayTensor(source.name, key, value, file.views));
    storageOf.set(short, isTensor(value) ? value.storage : undefined);
  }
  return {
    name: source.name,
    format: file.format,
    stateDict,
    stateDictKey: keyOfStateDict(chosen),
    averaged,
    available: available(candidates),
    prefix,
    args: argsAmong(around),
    meta: scalarsAmong(around, chosen.path, budget),
    ignored,
    inert: [...file.inert].map(([type, count]) => ({type, count})),
    warnings: [...notes, ...prefixWarning(keys, prefix)],
    problem,
    root,
    tensor: (ref, name) => lazyTensor(source, name, ref, file),
    verifyCrc: (keys = stateDict.keys()) => verify(file, storageOf, keys),
    checksums: () => checksumsOf(file, storageOf),
    close: () => source.close(),
  };
}

const NO_STATE_DICT: ChosenStateDict = {
  ...{path: [], dict: new Map(), tensors: 0, bytes: 0, hasWeights: false, averaged: false, aside: false, notes: []},
};

/** A file without the state dict that was asked for is an error, unless it is only looked at. */
function choose(
  make: () => ChosenStateDict,
  {withoutStateDict = 'refuse'}: OpenOptions,
): {chosen: ChosenStateDict; problem: GpdError | undefined} {
  try {
    return {chosen: make(), problem: undefined};
  } catch (error) {
    if (withoutStateDict === 'refuse' || !(error instanceof GpdError)) throw error;
    return {chosen: NO_STATE_DICT, problem: error};
  }
}

/** The keys of its tensors, without what averaging counts beside them. */
function keysOf({dict, path, averaged}: ChosenStateDict): {keys: string[]; counters: IgnoredEntry[]} {
  const keys: string[] = [];
  const counters: IgnoredEntry[] = [];
  for (const [key, value] of dict) {
    if (typeof key !== 'string' || !isNumbers(value)) continue;
    const isCounter = averaged && value.size.length <= 1 && isAverageCounter(key, Number(value.size[0] ?? 1));
    if (isCounter) counters.push({key: [...path, key].join('.'), reason: 'a counter of the averaging, no weight'});
    else keys.push(key);
  }
  return {keys, counters};
}

function openSafetensors(source: ByteSource, budget: MemoryBudget, options: OpenOptions): Checkpoint {
  const {tensors, metadata} = readSafetensors(source, budget);
  refuseChoice(source.name, options);
  if (tensors.size === 0) {
    throw new GpdError('STATE_DICT_NOT_FOUND', `${source.name}: holds no tensors`, {
      at: source.name,
      hint: 'give the file that has the weights',
    });
  }
  const keys = [...tensors.keys()];
  const prefix = commonPrefix(keys);
  return {
    name: source.name,
    format: 'safetensors',
    stateDict: new Map([...tensors].map(([k, tensor]) => [k.slice(prefix.length), tensor])),
    stateDictKey: null,
    averaged: false,
    available: [{key: null, tensors: tensors.size, bytes: source.size, averaged: false}],
    prefix,
    args: undefined,
    meta: metadata,
    ignored: [],
    inert: [],
    warnings: prefixWarning(keys, prefix),
    problem: undefined,
    root: new Map<PlainData, PlainData>(metadata),
    tensor: (_, name) => {
      throw new Error(`${source.name} has no tree that could refer to '${name}'`);
    },
    verifyCrc: () => ({checked: 0, bytes: 0, mismatches: [], notRecorded: tensors.size}),
    checksums: () => [],
    close: () => source.close(),
  };
}

/** The training options: argparse.Namespace from the original saver, a dict or an object of a class of its own from others. */
function argsAmong(around: readonly PlainData[]): ReadonlyMap<string, unknown> | undefined {
  for (const container of around) {
    for (const [place, args] of childrenOf(container)) {
      if (place !== 'args' || !(asMap(args) || isKind(args, 'namespace') || isKind(args, 'object'))) continue;
      const limit = jsonLimit();
      return new Map([...childrenOf(args)].map(([name, value]) => [name, toJson(value, limit)]));
    }
  }
  return undefined;
}

/** Plain values beside the state dict, and beside what it lies in. */
function scalarsAmong(around: readonly PlainData[], path: readonly string[], budget: MemoryBudget): Map<string, PlainScalar> {
  const scalars = new Map<string, PlainScalar>();
  const limit = jsonLimit();
  for (const [depth, container] of around.entries()) {
    for (const [place, value] of childrenOf(container)) {
      if (!isScalar(value)) continue;
      budget.spend(costs.record); // a list says no names: each is made here
      const key = depth === 0 ? place : [...path.slice(0, depth), place].join('.');
      scalars.set(key, typeof value === 'string' ? cutText(value, limit) : value);
    }
  }
  return scalars;
}

function prefixWarning(keys: readonly string[], prefix: string): string[] {
  const some = keys.filter((key) => key.startsWith('module.')).length;
  return prefix === '' && some > 0
    ? [`${some} of ${keys.length} keys begin with 'module.'; it was kept, because not all do`]
    : [];
}

function checksumsOf(file: TorchFile, storageOf: ReadonlyMap<string, StorageRef | undefined>): StorageChecksum[] {
  const keysOf = new Map<StorageRef, string[]>();
  for (const [key, storage] of storageOf) {
    if (!storage) continue;
    const keys = keysOf.get(storage);
    if (keys) keys.push(key);
    else keysOf.set(storage, [key]);
  }
  return [...keysOf].flatMap(([storage, keys]) => {
    const checksum = file.checksum(storage);
    return checksum ? [{...checksum, keys}] : [];
  });
}

function verify(file: TorchFile, storageOf: ReadonlyMap<string, StorageRef | undefined>, keys: Iterable<string>): CrcReport {
  const report = {checked: 0, bytes: 0, mismatches: [] as string[], notRecorded: 0};
  const results = new Map<StorageRef, boolean>(); // storages that tensors share are read once
  for (const key of keys) {
    const storage = storageOf.get(key);
    if (!storageOf.has(key)) throw new Error(`no tensor '${key}' to verify`);
    if (!storage) {
      report.notRecorded++; // a numpy array: its bytes are in the pickle
      continue;
    }
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
