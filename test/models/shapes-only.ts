/** State dicts of names and shapes: enough to recognise a network, and nothing to read. */
import type {StateDict, TensorSource} from '../../src/core/tensor.js';
import {zeros} from '../../src/core/tensor.js';
import type {Architecture} from '../../src/models/layers.js';
import {manifestOf} from '../../src/models/walk.js';
import {isOrepaCandidate} from '../../src/reparam/modules.js';
import {storedEntries} from '../../src/reparam/stored-tensors.js';

export interface Storage {
  ratio?: number;
  orepa?: boolean;
  /** Biases in every convolution, as a deployed network has them where branches were merged. */
  biases?: boolean;
}

export const sourceOfShape = (shape: readonly number[], dtype: 'float32' | 'int64' = 'float32'): TensorSource => ({
  dtype,
  shape,
  read: (leading = shape) => {
    const t = zeros(dtype, leading);
    t.data.fill((dtype === 'int64' ? 1n : 1) as never); // statistics of zeros alone would count as never filled
    return t;
  },
});

export function shapesOnly(
  arch: Architecture,
  {ratio = 1, orepa = false, biases = false}: Storage = {},
): Map<string, TensorSource> {
  const {modules} = manifestOf(arch);
  const entries = storedEntries(modules, ratio, (m) => orepa && isOrepaCandidate(m));
  const stateDict = new Map(entries.map(({key, shape, dtype}) => [key, sourceOfShape(shape, dtype)]));
  for (const m of modules) if (biases && m.kind === 'conv') stateDict.set(`${m.name}.bias`, sourceOfShape([m.out]));
  return stateDict;
}

/** The same with one key renamed. */
export const renamed = (stateDict: StateDict, from: string, to: string): StateDict =>
  new Map([...stateDict].map(([key, source]) => [key === from ? to : key, source]));
