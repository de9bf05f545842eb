/** Every entry of a checkpoint that is not used, with the reason: nothing disappears without a word. */
import {isMap, isScalar, isTensor, keyText, type PlainData, type PlainMap, typeName} from './plain-data.js';

export interface IgnoredEntry {
  /** Top-level key, or `state dict key` → entry inside it. */
  readonly key: string;
  readonly reason: string;
  /** Tensors that may be weights of this network or of another: nothing says what they are for. */
  readonly tensors?: number;
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
    ignored.push({key: stateDictKey === null ? keyText(key) : `${stateDictKey}.${keyText(key)}`, reason});
  }
  return ignored;
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
