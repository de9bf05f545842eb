/** Tensors of one number. */
import type {KernelEntry} from '../lowering/kernel-entry.js';
import type {Lowering} from '../lowering/lowering.js';
import type {LazyDType} from '../lowering/value.js';
import {convert} from './convert.js';

const isLazy = (dtype: string | undefined): dtype is LazyDType => dtype === 'float32' || dtype === 'int32' || dtype === 'bool';

const fill: KernelEntry = {
  inputs: [],
  numbers: ['value'],
  infer: (_, {shape, dtype}) => [{dtype: dtype ?? 'float32', shape}],
  refuses: (_, {value, dtype}) =>
    typeof value === 'number' && isLazy(dtype ?? 'float32') ? undefined : `${dtype ?? typeof value}s`,
  lower(g, inputs, _, [out]) {
    const value = convert(g, g.plain(inputs.at(-1)!), out!.dtype);
    g.define(out!, g.op('Expand', [value, g.ints(out!.shape)]));
  },
};

/** In the order of x: a slot of an optimiser then starts in the order of its variable. */
const like = (number: number): KernelEntry => ({
  inputs: ['x'],
  infer: ([x]) => [x!],
  lower(g: Lowering, [x], _, [out]) {
    const {perm} = g.any(x!);
    const shape = perm.map((d) => out!.shape[d]!);
    g.define(out!, g.op('Expand', [g.scalar(number, out!.dtype), g.ints(shape)]), perm);
  },
});

export const fillKernels: Readonly<Record<string, KernelEntry>> = {Fill: fill, OnesLike: like(1), ZerosLike: like(0)};
