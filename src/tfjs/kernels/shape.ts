/** Kernels that move numbers without changing them. */
import type {KernelEntry} from '../kernel-entry.js';

export const reshapeEntry: KernelEntry = {
  inputs: ['x'],
  infer: ([x], {shape}) => [{dtype: x!.dtype, shape}],
  lower(g, [x], {shape}, [out]) {
    g.define(out!, g.reshape(g.plain(x!), shape));
  },
};

/** A transpose is a new name for the dimensions: nothing moves until somebody needs another order. */
const transpose: KernelEntry = {
  inputs: ['x'],
  infer: ([x], {perm}: {perm: number[]}) => [{dtype: x!.dtype, shape: perm.map((p) => x!.shape[p]!)}],
  lower(g, [x], {perm}: {perm: number[]}, [out]) {
    const {value, perm: have} = g.any(x!);
    g.define(
      out!,
      value,
      have.map((d) => perm.indexOf(d)),
    );
  },
};

export const shapeKernels: Readonly<Record<string, KernelEntry>> = {Transpose: transpose};
