/** Which of the state dicts of a file is meant: what the options ask for, else the one that its name or its size makes the network. */
import {GpdError} from '../core/error.js';
import {bytes, plural} from '../core/format.js';
import type {MemoryBudget} from '../core/memory-budget.js';
import {shellWord} from '../core/shell.js';
import {type FoundStateDict, findStateDicts, isAverageName, isForeignTensor, type Search} from './find-state-dicts.js';
import {childrenOf, isKind, keyText, type PlainData, typeName} from './plain-data.js';

/** A state dict of a file, as it is listed. */
export interface AvailableStateDict {
  /** The key to ask for it: the dict keys and list indexes that lead to it, with dots between; null where the file is the state dict. */
  readonly key: string | null;
  readonly tensors: number;
  /** Bytes of the storages behind them, shared ones counted once. */
  readonly bytes: number;
  /** Weights that were averaged during training. */
  readonly averaged: boolean;
}

export interface StateDictChoice {
  /** The weights averaged during training, instead of the last ones. */
  ema?: boolean | undefined;
  /** The state dict under this key, such as `net` or `checkpoint.model`; '.' is the file itself. Wins over `ema`. */
  key?: string | undefined;
  /** What the user calls these options, for messages. Default: --key, --ema. */
  flags?: {readonly key?: string; readonly ema?: string} | undefined;
}

/** As the commands take it. */
export const choiceFlags = ({key, ema}: StateDictChoice): string[] =>
  key !== undefined ? ['--key', key] : ema ? ['--ema'] : [];

export interface ChosenStateDict extends FoundStateDict {
  /** What must be said of the choice. */
  readonly notes: readonly string[];
}

export const keyOfStateDict = ({path}: Pick<FoundStateDict, 'path'>): string | null =>
  path.length === 0 ? null : path.join('.');

/** What can be asked for: what looks like weights; in a file without any, whatever has tensors. Training state is not listed. */
export function candidatesIn({found}: Search): readonly FoundStateDict[] {
  const beside = found.filter(({aside}) => !aside);
  const weights = beside.filter(({hasWeights}) => hasWeights);
  return weights.length > 0 ? weights : beside;
}

export const available = (candidates: readonly FoundStateDict[]): AvailableStateDict[] =>
  candidates.map((c) => ({key: keyOfStateDict(c), tensors: c.tensors, bytes: c.bytes, averaged: c.averaged}));

/**
 * The order of preference where several state dicts have the name of the network; null is the file itself. The first two are those of
 * timm 0.6.13 (timm/models/helpers.py, `load_state_dict`).
 */
export const preferredNames: readonly (string | null)[] = [
  ...['state_dict', 'model', null, 'model_state_dict', 'model_state', 'module', 'net', 'network', 'weights', 'params', 'state'],
];
/** The same of averages. */
const preferredAverages: readonly string[] = ['state_dict_ema', 'model_ema', 'ema_state_dict', 'ema'];

/** Names that say "the network" and nothing else: `net_state_dict`, `checkpoint`. With `best_`, `teacher` or another word it is one of several. */
const neutral =
  /^((last|final)_)?(model|net|network|module|weights?|params?|parameters|state|checkpoint|ckpt|snapshot|data|\d+)(_(state|dict|state_dict|weights|params|parameters))*$/i;

/** The state dict that the options ask for. Never a silent replacement: without averaged weights, asking for them is an error. */
export function chooseStateDict(
  name: string,
  root: PlainData,
  search: Search,
  choice: StateDictChoice,
  budget: MemoryBudget,
): ChosenStateDict {
  const candidates = candidatesIn(search);
  const {flags: {key = '--key', ema = '--ema'} = {}} = choice;
  const asked = {name, key, ema};
  const chosen =
    choice.key !== undefined
      ? byKey(asked, root, choice.key, candidates, budget)
      : byRule(asked, search, candidates, choice.ema ?? false);
  for (const [key, value] of chosen.dict) {
    if (isForeignTensor(value)) throw notPlain(name, keyText(key), `a tensor of the class ${value.type}, not a plain one`);
    if (isKind(value, 'array') && value.dtype?.code.startsWith('O'))
      throw notPlain(name, keyText(key), 'a numpy array of Python objects, not of numbers');
    if (typeof key === 'string' && FLAT.test(key)) throw flattened(name, key);
  }
  return chosen;
}

/** Fully Sharded Data Parallel keeps all parameters of a part of the network in one vector, and their shapes elsewhere. */
const FLAT = /(^|\.)_?flat_param(_\d+)?$/;

const flattened = (name: string, key: string): GpdError =>
  new GpdError(
    'ARCH_UNKNOWN',
    `${name}: '${key}' is a part of a network flattened by FSDP: shapes and names of its tensors are lost`,
    {
      at: `${name}#${key}`,
      hint: 'save the full state dict: with FSDP.state_dict_type(model, StateDictType.FULL_STATE_DICT), then model.state_dict()',
    },
  );

/** The file, and what the user calls the options. */
interface Asked {
  readonly name: string;
  readonly key: string;
  readonly ema: string;
}

function byRule(asked: Asked, search: Search, candidates: readonly FoundStateDict[], ema: boolean): ChosenStateDict {
  const averages = candidates.filter(({averaged}) => averaged);
  const plain = candidates.filter(({averaged}) => !averaged);
  if (candidates.length === 0) throw nothingThere(asked.name, search);
  if (ema && averages.length === 0) throw noAverages(asked, candidates);
  const among = ema || plain.length === 0 ? averages : plain;
  const chosen = theNetwork(asked, among, among === averages ? averageRank : plainRank);
  const shown = `'${keyOfStateDict(chosen) ?? 'the file'}'`;
  const others = averages.filter(({dict}) => dict !== chosen.dict);
  const left = others.map((c) => `'${keyOfStateDict(c)}'`).slice(0, MAX_SHOWN);
  const notes =
    among === averages
      ? [...(ema ? [] : [`the only weights in the file are averaged ones (EMA), those of ${shown}: they are used`])]
      : others.length > 0
        ? [`averaged weights (EMA) in ${left.join(', ')} are left aside; ${asked.ema} uses them`]
        : [];
  return {...chosen, notes};
}

/** Smaller is better. Infinite: its name does not say that it is the network. */
type Rank = (candidate: FoundStateDict) => number;

const plainRank: Rank = ({path}) => {
  if (!path.every((part) => neutral.test(part))) return Number.POSITIVE_INFINITY;
  const own = path.filter((part) => !/^\d+$/.test(part)).at(-1) ?? (path.length === 0 ? null : undefined);
  const place = own === undefined ? -1 : preferredNames.indexOf(own);
  return place < 0 ? preferredNames.length : place;
};

const averageRank: Rank = ({path}) => {
  const places = path.map((part) => preferredAverages.indexOf(part)).filter((place) => place >= 0);
  return places.length > 0 ? Math.min(...places) : preferredAverages.length + (path.some(isAverageName) ? 0 : 1);
};

/** A state dict with fewer tensors than this part of the network's is no second network: a loss with weights, a projection. */
const SMALL = 0.1;

function theNetwork(asked: Asked, candidates: readonly FoundStateDict[], rank: Rank): FoundStateDict {
  const [best] = [...candidates].sort((a, b) => rank(a) - rank(b) || a.path.length - b.path.length || b.tensors - a.tensors);
  const largest = candidates.reduce((most, c) => (c.tensors > most.tensors ? c : most));
  const isNamed = rank(best!) < Number.POSITIVE_INFINITY && best!.tensors >= SMALL * largest.tensors;
  const chosen = isNamed ? best! : largest;
  const isRival = (c: FoundStateDict) =>
    c.dict !== chosen.dict &&
    c.tensors >= SMALL * chosen.tensors &&
    (rank(c) === Number.POSITIVE_INFINITY || (rank(c) === rank(chosen) && c.path.length === chosen.path.length));
  const several = candidates.filter((c) => c === chosen || isRival(c));
  if (several.length > 1) throw severalNetworks(asked, several);
  return chosen;
}

/** Values that one key may be looked for in. */
const MAX_STEPS = 1_000_000;

function byKey(
  asked: Asked,
  root: PlainData,
  key: string,
  candidates: readonly FoundStateDict[],
  budget: MemoryBudget,
): ChosenStateDict {
  const known = candidates.find((c) => (keyOfStateDict(c) ?? '.') === key);
  if (known) return {...known, notes: []};
  const place = key === '.' ? {value: root, path: []} : walkTo(root, key);
  if (!place) throw notFound(asked, `has nothing under '${key}'`, candidates);
  const search = findStateDicts(place.value, budget);
  const within = search.found.map((c) => ({...c, path: [...place.path, ...c.path]}));
  const itself = search.found.find(({path}) => path.length === 0);
  if (itself) return {...itself, path: place.path, averaged: itself.averaged || place.path.some(isAverageName), notes: []};
  const inner = candidatesIn({...search, found: within});
  if (inner.length > 0) return {...byRule(asked, search, inner, false), notes: []};
  if (search.wholes.length > 0) throw whole(asked.name, search.wholes[0]!);
  throw notFound(asked, `has no state dict under '${key}', which is of type ${typeName(place.value)}`, candidates);
}

/** The value under a key with dots: a dict key may have dots of its own. */
function walkTo(root: PlainData, key: string): {value: PlainData; path: string[]} | undefined {
  let steps = 0;
  const visit = (value: PlainData, rest: string, path: string[]): {value: PlainData; path: string[]} | undefined => {
    for (const [place, child] of childrenOf(value)) {
      if (++steps > MAX_STEPS) return undefined;
      if (place === rest) return {value: child, path: [...path, place]};
      const found =
        place !== '' && rest.startsWith(`${place}.`) ? visit(child, rest.slice(place.length + 1), [...path, place]) : undefined;
      if (found) return found;
    }
    return undefined;
  };
  return visit(root, key, []);
}

/** More state dicts than these are not listed one by one. */
const MAX_SHOWN = 20;
const NO_WEIGHTS = 'give a checkpoint that was saved with its weights';
const describe = (c: FoundStateDict): string =>
  `${c.path.length === 0 ? 'the file itself' : `'${keyOfStateDict(c)}'`} (${plural(c.tensors, 'tensor')}, ${bytes(c.bytes)})`;
const list = (candidates: readonly FoundStateDict[]): string => {
  const more = candidates.length > MAX_SHOWN ? ` and ${candidates.length - MAX_SHOWN} more` : '';
  return candidates.slice(0, MAX_SHOWN).map(describe).join(', ') + more;
};
const commands = ({key}: Asked, candidates: readonly FoundStateDict[]): string =>
  candidates
    .slice(0, MAX_SHOWN)
    .map((c) => `${key} ${shellWord(keyOfStateDict(c) ?? '.')}`)
    .join(', or ');

function notFound(asked: Asked, problem: string, candidates: readonly FoundStateDict[]): GpdError {
  return new GpdError('STATE_DICT_NOT_FOUND', `${asked.name}: ${problem}; there is ${list(candidates) || 'none elsewhere'}`, {
    at: asked.name,
    hint: candidates.length === 0 ? NO_WEIGHTS : `ask for one that is there: ${commands(asked, candidates)}`,
    data: {available: available(candidates)},
  });
}

function noAverages(asked: Asked, candidates: readonly FoundStateDict[]): GpdError {
  const {name, ema} = asked;
  for (const candidate of candidates) {
    const prefix = averagePrefix(candidate);
    if (prefix === undefined) continue;
    const where = keyOfStateDict(candidate) ?? 'the file';
    return new GpdError(
      'STATE_DICT_NOT_FOUND',
      `${name}: averaged weights stand among the others in '${where}', under '${prefix}'`,
      {
        at: name,
        hint: `leave ${ema} out, and name them: --prefix ${shellWord(prefix)}`,
        data: {available: available(candidates)},
      },
    );
  }
  const hint = `leave ${ema} out; if one of them is an average, ask for it: ${commands(asked, candidates)}`;
  const problem = `${name}: holds no averaged weights; there is ${list(candidates)}`;
  return new GpdError('STATE_DICT_NOT_FOUND', problem, {at: name, hint, data: {available: available(candidates)}});
}

/** What the names of averaged weights begin with that stand in one dict with the others: `ema_model.`, `model_ema.`. */
function averagePrefix({dict}: FoundStateDict): string | undefined {
  for (const key of dict.keys()) {
    const parts = typeof key === 'string' ? key.split('.', MAX_PREFIX_PARTS) : [];
    const last = parts.slice(0, -1).findIndex(isAverageName);
    if (last >= 0) return `${parts.slice(0, last + 1).join('.')}.`;
  }
  return undefined;
}
const MAX_PREFIX_PARTS = 3;

function severalNetworks(asked: Asked, candidates: readonly FoundStateDict[]): GpdError {
  const problem = `${asked.name}: holds ${candidates.length} state dicts that may be the network: ${list(candidates)}`;
  return new GpdError('ARCH_AMBIGUOUS', problem, {
    at: asked.name,
    hint: `say which one is meant: ${commands(asked, candidates)}`,
    data: {available: available(candidates)},
  });
}

function nothingThere(name: string, {found, nameless, optimizer, wholes}: Search): GpdError {
  const model = wholes.find(({what}) => what === 'model') ?? wholes[0];
  if (model) return whole(name, model);
  const state = optimizer ?? found[0]?.path;
  const where = state && state.length > 0 ? ` ('${state.join('.')}')` : '';
  const problem = state
    ? `holds no weights, only training state${where}`
    : nameless
      ? 'holds tensors without names; a state dict is a dict of tensors by name'
      : 'holds no tensors';
  return new GpdError('STATE_DICT_NOT_FOUND', `${name}: ${problem}`, {at: name, hint: NO_WEIGHTS, data: {available: []}});
}

function whole(name: string, {path, type, what}: Search['wholes'][number]): GpdError {
  const where = path.length === 0 ? '' : ` under '${path.join('.')}'`;
  const held = what === 'model' ? 'a whole model saved with its code' : 'an optimizer saved as an object, and no weights';
  return new GpdError('PICKLE_UNSUPPORTED', `${name}: holds ${held} ("${type}")${where}; nothing was executed`, {
    at: name,
    hint: 'load it where its code is, save model.state_dict() instead, and convert that',
  });
}

const notPlain = (name: string, key: string, what: string): GpdError =>
  new GpdError('PICKLE_UNSUPPORTED', `${name}: '${key}' is ${what}`, {
    at: `${name}#${key}`,
    hint: 'what it means is in the program that saved it: save plain tensors instead (of a distributed run: the full state dict)',
  });

const PREFIX = 'module.';

/** DistributedDataParallel puts `module.` before every key. A prefix on some keys only is part of their names. */
export function commonPrefix(keys: readonly string[]): '' | 'module.' {
  return keys.length > 0 && keys.every((key) => key.startsWith(PREFIX) && key.length > PREFIX.length) ? PREFIX : '';
}

/** What averaging keeps beside the weights, under no layer's name: how many states it has seen, and how fast it forgets them. */
const averageCounters = new Set(['n_averaged', 'steps', 'num_updates', 'updates', 'decay', 'initted', 'step']);
export const isAverageCounter = (key: string, elements: number): boolean => elements <= 1 && averageCounters.has(key);
