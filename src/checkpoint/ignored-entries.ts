/** Every entry of a checkpoint that is not used, with the reason: nothing disappears without a word. */
import {isMap, isScalar, isTensor, keyText, type PlainData, type PlainMap, typeName} from './plain-data.js';

export interface IgnoredEntry {
  /** Top-level key, or `state dict key` → entry inside it. */
  readonly key: string;
  readonly reason: string;
  /** Tensors that may be weights of this network or of another: nothing says what they are for. */
  readonly tensors?: number;
  /** Numbers among the tensors of the state dict, such as a factor of the logits. */
  readonly numbers?: number;
}

const trainingState = 'training state, not needed for the network';
/** Reasons by name. What is not here gets one by its type. */
const reasons: Readonly<Record<string, string>> = {
  optimizer: trainingState,
  scheduler: trainingState,
  lr_scheduler: trainingState,
  amp_scaler: trainingState,
  scaler: trainingState,
  amp: trainingState,
  state_dict: 'the weights without averaging; the averaged ones were asked for',
  state_dict_ema: 'the averaged weights (EMA); ask for them with --ema',
  model_ema: 'the averaged weights (EMA); ask for them with --ema',
};

/** The training options and plain values are not here: they are reported as `args` and `meta`. */
export function ignoredEntries(root: PlainData, stateDictKey: string | null, dict: PlainMap): IgnoredEntry[] {
  const ignored: IgnoredEntry[] = [];
  const tensorsIn = counter();
  if (isMap(root) && stateDictKey !== null) {
    for (const [key, value] of root) {
      if (key === stateDictKey || isScalar(value) || key === 'args') continue;
      ignored.push({key: keyText(key), ...reasonFor(keyText(key), value, tensorsIn)});
    }
  }
  for (const [key, value] of dict) {
    if (isTensor(value) && typeof key === 'string') continue;
    const reason = isTensor(value) ? `a tensor named by a ${typeName(key)}` : `of type ${typeName(value)}, not a tensor`;
    const numbers = numbersIn(value);
    const place = stateDictKey === null ? keyText(key) : `${stateDictKey}.${keyText(key)}`;
    ignored.push({key: place, reason, ...(numbers > 0 && {numbers})});
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
    const count = known.get(dict) ?? [...dict.values()].filter(isTensor).length;
    known.set(dict, count);
    return count;
  };
}

function reasonFor(key: string, value: PlainData, tensorsIn: (dict: PlainMap) => number): Omit<IgnoredEntry, 'key'> {
  if (Object.hasOwn(reasons, key)) return {reason: reasons[key]!};
  if (isTensor(value)) return {reason: 'a tensor outside the state dict', tensors: 1};
  const tensors = isMap(value) ? tensorsIn(value) : 0;
  return tensors > 0
    ? {reason: `another state dict (${tensors} tensors)`, tensors}
    : {reason: `of type ${typeName(value)}, not part of the network`};
}
