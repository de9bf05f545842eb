/** Which state dicts an object tree holds, and which one is meant. */
import {GpdError} from '../core/error.js';
import {costs, type MemoryBudget} from '../core/memory-budget.js';
import {dtypes} from '../core/tensor.js';
import {isMap, isTensor, type PlainData, type PlainMap, type StorageRef} from './plain-data.js';

export interface AvailableStateDict {
  /** The top-level key; null where the whole file is the state dict. */
  readonly key: string | null;
  readonly tensors: number;
  /** Bytes of the storages behind them, shared ones counted once. */
  readonly bytes: number;
}

export interface StateDictChoice {
  /** The weights averaged during training, instead of the last ones. */
  ema?: boolean;
  /** A top-level key, for files of other tools. Wins over `ema`. */
  key?: string;
}

/** The order in which timm 0.6.13 looks (timm/models/helpers.py, `load_state_dict`), with and without EMA wanted. */
const PLAIN_KEYS = ['state_dict', 'model'];
const EMA_KEYS = ['state_dict_ema', 'model_ema'];

export function availableStateDicts(root: PlainData, budget: MemoryBudget): AvailableStateDict[] {
  if (!isMap(root)) return [];
  const sizes = new Map<PlainMap, Size>(); // a dict is measured once, under however many names it is there
  const entries: [string | null, PlainData][] = [[null, root]];
  for (const [key, value] of root) if (typeof key === 'string') entries.push([key, value]);
  return entries.flatMap(([key, dict]) => {
    if (!isMap(dict)) return [];
    const size = sizes.get(dict) ?? measure(dict);
    sizes.set(dict, size);
    if (size.tensors === 0) return [];
    budget.spend(costs.reported);
    return [{key, ...size}];
  });
}

type Size = Omit<AvailableStateDict, 'key'>;

function measure(dict: PlainMap): Size {
  const storages = new Set<StorageRef>();
  let tensors = 0;
  for (const value of dict.values()) {
    if (!isTensor(value)) continue;
    tensors++;
    storages.add(value.storage);
  }
  const bytes = [...storages].reduce((n, {count, dtype}) => n + count * dtypes[dtype].bytes, 0);
  return {tensors, bytes};
}

/** The state dict that the options ask for. Never a silent replacement: without EMA weights, asking for them is an error. */
export function chooseStateDict(
  name: string,
  root: PlainData,
  available: readonly AvailableStateDict[],
  choice: StateDictChoice,
): {key: string | null; dict: PlainMap} {
  const wanted: (string | null)[] = choice.key !== undefined ? [choice.key] : choice.ema ? EMA_KEYS : [...PLAIN_KEYS, null];
  const chosen = available.find((a) => a.key === wanted.find((key) => available.some((b) => b.key === key)));
  if (!chosen) throw notFound(name, wanted, available);
  return {key: chosen.key, dict: (chosen.key === null ? root : (root as PlainMap).get(chosen.key)) as PlainMap};
}

/** More state dicts than these are not listed one by one. */
const MAX_SHOWN = 20;

function notFound(name: string, wanted: readonly (string | null)[], available: readonly AvailableStateDict[]): GpdError {
  const shown = available
    .slice(0, MAX_SHOWN)
    .map(({key, tensors}) => `${key === null ? 'the file itself' : `'${key}'`} (${tensors} tensors)`)
    .join(', ');
  const names = wanted.filter((key) => key !== null).map((key) => `'${key}'`);
  const problem = available.length === 0 ? 'holds no tensors' : `has no state dict ${names.join(' or ')}; there is ${shown}`;
  return new GpdError('STATE_DICT_NOT_FOUND', `${name}: ${problem}`, {
    at: name,
    hint: available.length === 0 ? 'give a checkpoint that was saved with its weights' : 'ask for one that is there',
    data: {wanted, available},
  });
}

const PREFIX = 'module.';

/** DistributedDataParallel puts `module.` before every key. A prefix on some keys only is part of their names. */
export function commonPrefix(keys: readonly string[]): '' | 'module.' {
  return keys.length > 0 && keys.every((key) => key.startsWith(PREFIX) && key.length > PREFIX.length) ? PREFIX : '';
}
