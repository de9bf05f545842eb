/** Recording: calls on lazy values, with the reshapes that TensorFlow.js makes without a kernel. */
import {dtypes} from '../core/tensor.js';
import type {KernelEntry} from './kernel-entry.js';
import {castEntry} from './kernels/convert.js';
import {reshapeEntry} from './kernels/shape.js';
import {LazyCall, type LazyDType, LazyValue, type TypedShape} from './value.js';

/** Views of one value by shape, so that a value used twice in another shape is reshaped once. */
const views = new WeakMap<LazyValue, Map<string, LazyValue>>();

export const record = {
  call(
    kernel: string,
    entry: KernelEntry,
    inputs: readonly LazyValue[],
    attrs: object,
    types: readonly TypedShape[] = entry.infer(inputs, attrs),
  ): LazyCall {
    const attributes = {...attrs} as Record<string, unknown>;
    const numbers = (entry.numbers ?? []).map((name) => {
      const value = scalar(attributes[name] as number, types[0]!.dtype);
      delete attributes[name];
      return value;
    });
    return new LazyCall(kernel, entry, [...inputs, ...numbers], attributes, types);
  },

  cast(value: LazyValue, dtype: LazyDType): LazyValue {
    return value.dtype === dtype ? value : record.call('Cast', castEntry, [value], {dtype}).outputs[0]!;
  },

  reshape(value: LazyValue, shape: readonly number[]): LazyValue {
    if (shape.length === value.shape.length && shape.every((d, i) => d === value.shape[i])) return value;
    if (!value.layout && !value.resident && value.data) {
      const view = new LazyValue(value.dtype, [...shape]); // the same numbers
      view.data = value.data;
      view.origin = value.origin ?? value;
      return view;
    }
    const known = views.get(value) ?? new Map<string, LazyValue>();
    views.set(value, known);
    const key = shape.join();
    const existing = known.get(key);
    if (existing && (existing.producer || existing.data)) return existing;
    const [view] = record.call('Reshape', reshapeEntry, [value], {shape: [...shape]}).outputs as [LazyValue];
    view.origin = value.origin ?? value;
    known.set(key, view);
    return view;
  },
};

/** A number that is an input of the graph and not part of it: another number next time is the same graph. */
function scalar(number: number, dtype: LazyDType): LazyValue {
  const value = new LazyValue(dtype, []);
  value.data = dtypes[dtype].array.of(number);
  return value;
}
