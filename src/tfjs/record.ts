/** Recording: calls on lazy values, with the reshapes that TensorFlow.js makes without a kernel. */
import type {KernelEntry} from './kernel-entry.js';
import {reshapeEntry} from './kernels/shape.js';
import {LazyCall, LazyValue} from './value.js';

export interface Recorded {
  call: LazyCall;
}

/** Views of one value by shape, so that a value used twice in another shape is reshaped once. */
const views = new WeakMap<LazyValue, Map<string, LazyValue>>();

export const record = {
  call(kernel: string, entry: KernelEntry, inputs: readonly LazyValue[], attrs: object): LazyCall {
    const attributes = attrs as Readonly<Record<string, unknown>>;
    return new LazyCall(kernel, entry, inputs, attributes, entry.infer(inputs, attributes));
  },

  reshape(value: LazyValue, shape: readonly number[]): LazyValue {
    if (shape.length === value.shape.length && shape.every((d, i) => d === value.shape[i])) return value;
    if (value.data && !value.layout) {
      const view = new LazyValue(value.dtype, [...shape]); // the same numbers
      view.data = value.data;
      return view;
    }
    const known = views.get(value) ?? new Map<string, LazyValue>();
    views.set(value, known);
    const key = shape.join();
    const existing = known.get(key);
    if (existing && (existing.producer || existing.data)) return existing;
    const [view] = record.call('Reshape', reshapeEntry, [value], {shape: [...shape]}).outputs as [LazyValue];
    known.set(key, view);
    return view;
  },
};
