/**
 * Batch norms that are in a network's code but not, or not whole, in its file: PyTorch's tools for deployment merge them into the
 * convolutions before them, and one without factors and offsets stores none.
 */
import {type Shape, type StateDict, type TensorSource, zeros} from '../core/tensor.js';
import type {Module} from '../reparam/modules.js';
import type {Architecture} from './layers.js';
import {manifestOf} from './walk.js';

/**
 * The network without the batch norms that have no tensor at all and follow a convolution that has the bias they leave behind. One that is
 * missing elsewhere stays, and is missed.
 */
export function withoutFusedNorms(arch: Architecture, stateDict: StateDict): Architecture {
  const layers = new Set([...stateDict.keys()].map((key) => key.slice(0, Math.max(0, key.lastIndexOf('.')))));
  const fused = new Set<string>();
  let before: string | undefined;
  for (const {module} of manifestOf(arch).records) {
    if (module?.kind === 'batchNorm' && before !== undefined && !layers.has(module.name) && stateDict.has(`${before}.bias`))
      fused.add(module.name);
    before = module?.kind === 'conv' ? module.name : undefined;
  }
  return fused.size > 0 ? {...arch, fused} : arch;
}

const constant = (name: string, shape: Shape, value: number): TensorSource => ({
  name,
  dtype: 'float32',
  shape,
  read(leading = shape) {
    const made = zeros('float32', leading);
    made.data.fill(value);
    return made;
  },
});

/** Ones and zeros for batch norms that have statistics, but neither factors nor offsets: `BatchNorm2d(affine=False)`. */
export function affineConstants(modules: readonly Module[], stateDict: StateDict): Map<string, TensorSource> {
  const without = modules.filter(
    ({kind, name}) =>
      kind === 'batchNorm' &&
      stateDict.has(`${name}.running_mean`) &&
      !stateDict.has(`${name}.weight`) &&
      !stateDict.has(`${name}.bias`),
  );
  return new Map(
    without.flatMap(({name}) => {
      const {shape} = stateDict.get(`${name}.running_mean`)!;
      const [weight, bias] = [`${name}.weight`, `${name}.bias`];
      return [[weight, constant(weight, shape, 1)] as const, [bias, constant(bias, shape, 0)] as const];
    }),
  );
}
