/** From names and shapes to the sizes of a network: what the families read theirs with. Widths are divided by the ratio: the student's. */
import {GpdError} from '../core/error.js';
import {nearest} from '../core/nearest.js';
import type {StateDict} from '../core/tensor.js';

export interface SizeReader {
  readonly ratio: number;
  has(key: string): boolean;
  /** All names, in the file's order. */
  keys(): readonly string[];
  /** The stored shape of a convolution's weight or of its branches. */
  weight(module: string): readonly number[];
  /** The shape of a tensor that must be there. */
  shape(key: string): readonly number[];
  /** A student width: a dimension of a convolution or other weight, over the ratio. */
  width(module: string, dim?: number): number;
  /** How many numbered children a prefix has: `layer1.` → 2. */
  children(prefix: string): number;
}

export function sizeReader(stateDict: StateDict, ratio: number): SizeReader {
  const shape = (key: string) => {
    const found = stateDict.get(key);
    if (found) return found.shape;
    // A name with other numbers is another layer's, and rightly there: a slip is looked for among the rest first.
    const sameNumbers = [...stateDict.keys()].filter((other) => other.replace(/\D+/g, ' ') === key.replace(/\D+/g, ' '));
    const near = nearest(key, sameNumbers) ?? nearest(key, stateDict.keys());
    throw new GpdError('KEY_MISSING', `the checkpoint has no '${key}'`, {
      at: key,
      ...(near && {hint: `did you mean '${near}'?`}),
    });
  };
  const keys = [...stateDict.keys()];
  const weightKey = (module: string) =>
    stateDict.has(`${module}.weight_orepa_origin`) ? `${module}.weight_orepa_origin` : `${module}.weight`;
  return {
    ratio,
    has: (key) => stateDict.has(key),
    shape,
    keys: () => keys,
    weight: (module) => shape(weightKey(module)),
    width(module, dim = 0) {
      const key = weightKey(module);
      const stored = shape(key)[dim] ?? 0;
      if (stored > 0 && stored % ratio === 0) return stored / ratio;
      throw new GpdError('SHAPE_MISMATCH', `'${key}' has ${stored} channels, which ratio ${ratio} does not divide`, {
        at: key,
        hint: 'the ratio is not the one this network was trained with: set --ratio',
      });
    },
    children(prefix) {
      let count = 0;
      for (const key of stateDict.keys()) {
        if (key.startsWith(prefix)) count = Math.max(count, Number.parseInt(key.slice(prefix.length), 10) + 1 || 0);
      }
      if (count <= stateDict.size) return count;
      throw new GpdError('KEY_MISSING', `a key counts up to '${prefix}${count - 1}', but there are ${stateDict.size} tensors`, {
        at: `${prefix}${count - 1}`,
        hint: 'the file is damaged or was edited: save it again, whole',
      });
    },
  };
}

/** Sizes of the stages in the name of a network that was not published: `2-2-2-2`. */
export const dashed = (values: readonly number[]): string => values.join('-');
