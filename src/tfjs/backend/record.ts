/** Recording: calls on lazy values, with the reshapes that TensorFlow.js makes without a kernel. */
import {dtypes, elementCount} from '../../core/tensor.js';
import {castEntry} from '../kernels/convert.js';
import {reshapeEntry} from '../kernels/shape.js';
import type {KernelEntry} from '../lowering/kernel-entry.js';
import {LazyCall, type LazyDType, LazyValue, type TypedShape} from '../lowering/value.js';

/** Views of one value by shape, so that a value used twice in another shape is reshaped once, and is one input of a graph. */
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
    const known = views.get(value) ?? new Map<string, LazyValue>();
    views.set(value, known);
    const key = shape.join();
    const existing = known.get(key);
    if (existing && (existing.producer || existing.data)) return existing;
    const view = record.part(value, 0, shape);
    if (view) known.set(key, view);
    if (view) return view;
    const [reshaped] = record.call('Reshape', reshapeEntry, [value], {shape: [...shape]}).outputs as [LazyValue];
    reshaped.origin = value.origin ?? value;
    known.set(key, reshaped);
    return reshaped;
  },

  /** Numbers of a value from the given one on, on the same memory; undefined where they do not lie on the host in order. */
  part(value: LazyValue, offset: number, shape: readonly number[]): LazyValue | undefined {
    if (value.layout || value.resident || !value.data) return undefined;
    const part = new LazyValue(value.dtype, [...shape]);
    const size = elementCount(shape);
    part.data = size === value.data.length ? value.data : value.data.subarray(offset, offset + size);
    part.origin = value.origin ?? value;
    part.offset = value.offset + offset;
    return part;
  },
};

/** A number that is an input of the graph and not part of it: another number next time is the same graph. */
function scalar(number: number, dtype: LazyDType): LazyValue {
  const value = new LazyValue(dtype, []);
  value.data = dtypes[dtype].array.of(number);
  return value;
}
