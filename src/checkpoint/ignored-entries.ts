/** Every entry of a checkpoint that is not used, with the reason: nothing disappears without a word. */
import {type FoundStateDict, isAverageName, isNumbers} from './find-state-dicts.js';
import {asMap, childrenOf, isScalar, keyText, type PlainData, type PlainMap, typeName} from './plain-data.js';

export interface IgnoredEntry {
  /** The entry: the keys that lead to it, with dots between. */
  readonly key: string;
  readonly reason: string;
  /** Tensors that may be weights of this network or of another: nothing says what they are for. */
  readonly tensors?: number;
  /** Numbers among the tensors of the state dict, such as a factor of the logits. */
  readonly numbers?: number;
}

const trainingState = 'training state, not needed for the network';
const averagedWeights = 'the averaged weights (EMA); ask for them with --ema';
/** Reasons by name. What is not here gets one by its type. */
const reasons: Readonly<Record<string, string>> = {
  optimizer: trainingState,
  optimizer_state_dict: trainingState,
  optimizer_states: trainingState,
  scheduler: trainingState,
  scheduler_state_dict: trainingState,
  lr_scheduler: trainingState,
  lr_schedulers: trainingState,
  amp_scaler: trainingState,
  scaler: trainingState,
  amp: trainingState,
  gpd_static_teacher: 'the static teacher that it was trained with',
};
const plainWeights = 'the weights without averaging; the averaged ones were asked for';

/** The containers that the state dict lies in, from the outermost: what stands beside it in each of them. */
export function containersAround(root: PlainData, path: readonly string[]): PlainData[] {
  const around: PlainData[] = [];
  let at: PlainData | undefined = root;
  for (const part of path) {
    if (at === undefined) break;
    around.push(at);
    at = childOf(at, part);
  }
  return around;
}

function childOf(value: PlainData, part: string): PlainData | undefined {
  for (const [place, child] of childrenOf(value)) if (place === part) return child;
  return undefined;
}

/** The training options and plain values are not here: they are reported as `args` and `meta`. */
export function ignoredEntries(root: PlainData, {path, dict, averaged}: FoundStateDict): IgnoredEntry[] {
  const tensorsIn = counter();
  const ignored: IgnoredEntry[] = [];
  const join = (depth: number, place: string) => [...path.slice(0, depth), place].join('.');
  for (const [depth, container] of containersAround(root, path).entries()) {
    for (const [place, value] of childrenOf(container)) {
      if (place === path[depth] || isScalar(value) || place === 'args') continue;
      ignored.push({key: join(depth, place), ...reasonFor(place, value, averaged, tensorsIn)});
    }
  }
  for (const [key, value] of dict) {
    if (isNumbers(value) && typeof key === 'string') continue;
    const reason = isNumbers(value) ? `a tensor named by a ${typeName(key)}` : `of type ${typeName(value)}, not a tensor`;
    const numbers = numbersIn(value);
    ignored.push({key: join(path.length, keyText(key)), reason, ...(numbers > 0 && {numbers})});
  }
  return ignored;
}

/** Of a number, or of a list of nothing else. */
function numbersIn(value: PlainData): number {
  const all = Array.isArray(value) ? value : [value];
  return all.every((v) => typeof v === 'number' || typeof v === 'bigint') ? all.length : 0;
}

const MAX_LISTED = 3;

/**
 * Tensors outside the state dict and numbers in it may be other weights, or act on input or output: whoever uses the network says that it
 * is without them. No or one sentence.
 */
export function besideWarnings({
  ignored,
  stateDictKey,
}: {
  ignored: readonly IgnoredEntry[];
  stateDictKey: string | null;
}): string[] {
  const beside = ignored.filter(({tensors = 0, numbers = 0}) => tensors + numbers > 0);
  if (beside.length === 0) return [];
  const many = (n: number, thing: string) => `${n} ${thing}${n === 1 ? '' : 's'}`;
  const listed = beside
    .slice(0, MAX_LISTED)
    .map(({key, tensors, numbers}) => `'${key}' (${tensors ? many(tensors, 'tensor') : many(numbers!, 'number')})`);
  const more = beside.length > MAX_LISTED ? ` and ${beside.length - MAX_LISTED} more` : '';
  const used = stateDictKey === null ? 'its tensors alone' : `the tensors of '${stateDictKey}' alone`;
  return [`the network is made of ${used}; the file also holds ${listed.join(', ')}${more}, left out: gpd inspect shows them`];
}

/** Counts the tensors of a dict, once: it may be there under many names. */
function counter(): (dict: PlainMap) => number {
  const known = new Map<PlainMap, number>();
  return (dict) => {
    const count = known.get(dict) ?? [...dict.values()].filter(isNumbers).length;
    known.set(dict, count);
    return count;
  };
}

function reasonFor(
  place: string,
  value: PlainData,
  averaged: boolean,
  tensorsIn: (dict: PlainMap) => number,
): Omit<IgnoredEntry, 'key'> {
  if (Object.hasOwn(reasons, place)) return {reason: reasons[place]!};
  if (averaged && place === 'state_dict') return {reason: plainWeights};
  if (!averaged && isAverageName(place)) return {reason: averagedWeights};
  if (isNumbers(value)) return {reason: 'a tensor outside the state dict', tensors: 1};
  const map = asMap(value);
  const tensors = map ? tensorsIn(map) : 0;
  if (averaged && tensors > 0) return {reason: plainWeights};
  return tensors > 0
    ? {reason: `another state dict (${tensors} tensors)`, tensors}
    : {reason: `of type ${typeName(value)}, not part of the network`};
}
