/** Every state dict in an object tree, at any depth, and what its place says of it. The work is linear in the tree. */
import {costs, type MemoryBudget} from '../core/memory-budget.js';
import {dtypes} from '../core/tensor.js';
import {isNumericArray} from './numpy-array.js';
import {
  asMap,
  attributesOf,
  childrenOf,
  isKind,
  isMap,
  isTensor,
  type NumpyArray,
  type ObjectStub,
  type PlainData,
  type PlainMap,
  type StorageRef,
  type TensorRef,
} from './plain-data.js';

/** A dict with tensors. */
export interface FoundStateDict {
  /** Dict keys, attributes and list indexes that lead to it; empty where the file is the state dict itself. */
  readonly path: readonly string[];
  readonly dict: PlainMap;
  readonly tensors: number;
  /** Bytes of the storages behind them, shared ones counted once. */
  readonly bytes: number;
  /** It has a tensor of two or more dimensions and numbers with a point: metrics and random states do not. */
  readonly hasWeights: boolean;
  /** Weights that were averaged during training. */
  readonly averaged: boolean;
  /** It belongs to the training state: an optimizer's, a scheduler's, callbacks'. */
  readonly aside: boolean;
}

export interface Search {
  readonly found: readonly FoundStateDict[];
  /** There are tensors in a list or a tuple, without names. */
  readonly nameless: boolean;
  /** Where the state of an optimizer lies, if there is one. */
  readonly optimizer: readonly string[] | undefined;
  /** The classes of models and optimizers that were saved as objects, with their code: nothing of those is read. */
  readonly wholes: readonly {readonly path: readonly string[]; readonly type: string; readonly what: 'model' | 'optimizer'}[];
}

/** Nested deeper than any checkpoint is. */
const MAX_DEPTH = 64;
/** More are not told apart. */
const MAX_FOUND = 10_000;

interface Node {
  readonly value: PlainData;
  readonly place: string;
  readonly parent: Node | undefined;
  readonly depth: number;
  readonly averaged: boolean;
  readonly aside: boolean;
}

const trainingState =
  /^(optims?|.*optimi[sz]ers?|optimi[sz]er[_.].*|.*scheduler.*|sched|.*scaler.*|amp|rng.*|.*[_.]rng.*|random_state.*|history|metrics?|.*static_teacher)$/i;

/** The words of a name: `modelEMA`, `ema_state_dict` and `swa-0.99` have several. */
const wordsOf = (name: string): string[] =>
  name
    .replace(/([a-z])([A-Z])/g, '$1_$2')
    .toLowerCase()
    .split(/[^a-z0-9]+/);
const averages = new Set(['ema', 'swa', 'avg', 'average', 'averaged', 'averages', 'polyak', 'shadow']);

/** Whether a name says that what it names was averaged: `model_ema`, `ema_state_dict`, `swa_model`. */
export const isAverageName = (name: string): boolean => name.length <= 200 && wordsOf(name).some((word) => averages.has(word));

/** torch.optim.swa_utils.AveragedModel counts the states that it averaged. */
const AVERAGE_COUNT = 'n_averaged';

/** From the outermost containers inwards, in the order of the file. What has several names is looked into once, and listed under each. */
export function findStateDicts(root: PlainData, budget: MemoryBudget): Search {
  const found: FoundStateDict[] = [];
  const wholes: Search['wholes'][number][] = [];
  let optimizer: string[] | undefined;
  let nameless = isTensor(root);
  const seen = new Map<PlainData, Size>();
  const queue: Node[] = [];
  const discover = (node: Node) => {
    const {value, averaged, aside} = node;
    const known = seen.get(value);
    const size = known ?? measure(asMap(value));
    if (size.tensors > 0 && found.length < MAX_FOUND) {
      const dict = asMap(value)!;
      budget.spend(costs.reported);
      found.push({path: pathOf(node), dict, ...size, aside, averaged: averaged || dict.has(AVERAGE_COUNT)});
    }
    if (known) return;
    budget.spend(costs.record + costs.entry);
    seen.set(value, size);
    queue.push(node);
  };
  discover({value: root, place: '', parent: undefined, depth: 0, averaged: false, aside: false});
  for (let next = 0; next < queue.length; next++) {
    const node = queue[next]!;
    const {value} = node;
    nameless ||= itemsOf(value).some(isTensor);
    const whole = isKind(value, 'object') ? wholeObject(value) : undefined;
    if (whole) wholes.push({path: pathOf(node), type: (value as ObjectStub).type, what: whole});
    else if (isOptimizerState(value)) optimizer ??= pathOf(node);
    else if (node.depth < MAX_DEPTH) for (const child of containersIn(node)) discover(child);
  }
  return {found, nameless, optimizer, wholes};
}

const itemsOf = (value: PlainData): readonly PlainData[] =>
  Array.isArray(value) ? value : isKind(value, 'tuple') ? value.items : [];

function* containersIn(node: Node): Generator<Node> {
  for (const [place, value] of childrenOf(node.value)) {
    if (!isContainer(value)) continue;
    const averaged = node.averaged || isAverageName(place);
    yield {value, place, parent: node, depth: node.depth + 1, averaged, aside: node.aside || trainingState.test(place)};
  }
}

const isContainer = (value: PlainData): boolean =>
  Array.isArray(value) || isMap(value) || isKind(value, 'tuple') || isKind(value, 'namespace') || isKind(value, 'object');

function pathOf(node: Node): string[] {
  const path: string[] = [];
  for (let at: Node | undefined = node; at?.parent; at = at.parent) path.push(at.place);
  return path.reverse();
}

/** An optimizer's state dict has tensors by number, and groups of parameters. */
const isOptimizerState = (value: PlainData): boolean => {
  const map = asMap(value);
  return map?.has('state') === true && map.has('param_groups');
};

/** torch.nn.Module keeps its parts under these names, torch.optim.Optimizer under those. */
function wholeObject(stub: ObjectStub): 'model' | 'optimizer' | undefined {
  const names = new Set<string>();
  for (const [name] of attributesOf(stub)) {
    names.add(name);
    if (names.size > MAX_ATTRIBUTES) break;
  }
  if (names.has('_modules') || names.has('_parameters')) return 'model';
  return names.has('param_groups') && names.has('state') ? 'optimizer' : undefined;
}
const MAX_ATTRIBUTES = 1000;

/** What a state dict may hold as a tensor: a view of a storage, or a numpy array of numbers. */
export const isNumbers = (value: PlainData | undefined): value is TensorRef | NumpyArray =>
  isTensor(value) || isNumericArray(value);

/** A tensor of a class of its own, of which nothing is known but the name of the class: `mylib.Sub`, a part of a distributed one. */
export const isForeignTensor = (value: PlainData | undefined): value is ObjectStub =>
  isKind(value, 'object') &&
  (value.type.endsWith('Tensor') || (isKind(value.args[0], 'global') && value.args[0].name.startsWith('_rebuild_')));

type Size = Pick<FoundStateDict, 'tensors' | 'bytes' | 'hasWeights'>;
const nothing: Size = {tensors: 0, bytes: 0, hasWeights: false};

function measure(dict: PlainMap | undefined): Size {
  if (!dict) return nothing;
  const storages = new Set<StorageRef>();
  let [tensors, arrays, hasWeights] = [0, 0, false];
  for (const [key, value] of dict) {
    if (typeof key !== 'string' || !(isNumbers(value) || isForeignTensor(value))) continue;
    tensors++;
    if (isTensor(value)) storages.add(value.storage);
    if (isKind(value, 'array')) arrays += value.bytes?.length ?? 0;
    hasWeights ||= isKind(value, 'object') || (value.size.length >= 2 && isFloating(value));
  }
  const bytes = [...storages].reduce((n, {count, dtype}) => n + count * dtypes[dtype].bytes, arrays);
  return tensors === 0 ? nothing : {tensors, bytes, hasWeights};
}

const isFloating = (value: TensorRef | NumpyArray): boolean =>
  isTensor(value) ? value.storage.dtype.includes('float') : value.dtype?.code.startsWith('f') === true;
