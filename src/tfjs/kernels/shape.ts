/** Kernels that rearrange numbers without looking at them. What can keep the order of dimensions that it finds does. */
import {backend_util, slice_util, util} from '@tensorflow/tfjs-core';
import {type KernelEntry, SHARES_DATA} from '../lowering/kernel-entry.js';
import type {Lowering} from '../lowering/lowering.js';
import {isIdentity, type LazyValue, type Permutation} from '../lowering/value.js';

/** Recorded where a handle has another shape than the value behind it: TensorFlow.js reshapes without a kernel call. */
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

/** From the first number, forwards or backwards. Before the first is INT_MIN: -1 would mean the last. */
const BEFORE_FIRST = -(2 ** 31);

interface Cut {
  begin: readonly number[];
  size: readonly number[];
  step?: readonly number[];
}

/** The numbers begin, begin + step, … along each dimension. */
function cut(g: Lowering, x: LazyValue, {begin, size, step = size.map(() => 1)}: Cut) {
  const {value, perm} = g.any(x);
  const changed = perm.flatMap((d, i) => (size[d] === x.shape[d] && step[d] === 1 ? [] : [[d, i] as const]));
  if (changed.length === 0) return {value, perm};
  const end = (d: number) => {
    const last = begin[d]! + size[d]! * step[d]!;
    return last < 0 ? BEFORE_FIRST : last;
  };
  const bounds = [changed.map(([d]) => begin[d]!), changed.map(([d]) => end(d))];
  const rest = [changed.map(([, i]) => i), changed.map(([d]) => step[d]!)];
  return {value: g.op('Slice', [value, ...[...bounds, ...rest].map((list) => g.ints(list))]), perm};
}

const slice: KernelEntry = {
  inputs: ['x'],
  infer: ([x], attrs) => [{dtype: x!.dtype, shape: sliceParameters(x!.shape, attrs).size}],
  part([x], attrs) {
    const {begin, size} = sliceParameters(x!.shape, attrs);
    const cutAt = size.findIndex((n) => n !== 1);
    if (size.some((n, d) => cutAt >= 0 && d > cutAt && n !== x!.shape[d])) return undefined;
    return begin.reduce((before, at, d) => before * x!.shape[d]! + at, 0);
  },
  lower(g, [x], attrs, [out]) {
    const {value, perm} = cut(g, x!, sliceParameters(x!.shape, attrs));
    g.define(out!, value, perm);
  },
};

function sliceParameters(shape: readonly number[], {begin, size}: {begin: number | number[]; size: number | number[]}) {
  const x = {shape: [...shape]} as Parameters<typeof slice_util.parseSliceParams>[0];
  const [from, count] = slice_util.parseSliceParams(x, begin, size) as [number[], number[]];
  slice_util.assertParamsValid(x, from, count);
  return {begin: from, size: count};
}

interface StridedSliceAttributes {
  begin: number[];
  end: number[];
  strides: number[];
  beginMask: number;
  endMask: number;
  ellipsisMask: number;
  newAxisMask: number;
  shrinkAxisMask: number;
}

const stridedInfo = (shape: readonly number[], a: StridedSliceAttributes) =>
  slice_util.sliceInfo(
    [...shape],
    a.begin,
    a.end,
    a.strides,
    a.beginMask,
    a.endMask,
    a.ellipsisMask,
    a.newAxisMask,
    a.shrinkAxisMask,
  );

const stridedSlice: KernelEntry = {
  inputs: ['x'],
  infer: ([x], attrs) => [{dtype: x!.dtype, shape: stridedInfo(x!.shape, attrs).finalShape}],
  refuses: ([x], attrs) => (stridedInfo(x!.shape, attrs).isIdentity ? SHARES_DATA : undefined),
  lower(g, [x], attrs, [out]) {
    const {begin, end, strides, finalShape} = stridedInfo(x!.shape, attrs);
    const size = slice_util.computeOutShape(begin, end, strides);
    const {value, perm} = cut(g, x!, {begin, size, step: strides});
    const sameDimensions = finalShape.length === size.length && finalShape.every((d, i) => d === size[i]);
    if (sameDimensions) return g.define(out!, value, perm);
    const inOrder = isIdentity(perm) ? value : g.op('Transpose', [value], {perm: size.map((_, d) => perm.indexOf(d))});
    g.define(out!, g.reshape(inOrder, finalShape));
  },
};

const axisOf = (axis: number, shape: readonly number[]): number => util.parseAxisParam(axis, [...shape])[0]!;

const sameType: KernelEntry['refuses'] = (inputs) =>
  inputs.some((v) => v.dtype !== inputs[0]!.dtype) ? 'tensors of several types' : undefined;

const concat: KernelEntry = {
  inputs: [],
  infer(inputs, {axis}) {
    const shapes = inputs.map((v) => [...v.shape]);
    backend_util.assertParamsConsistent(shapes, axisOf(axis, shapes[0]!));
    return [{dtype: inputs[0]!.dtype, shape: backend_util.computeOutShape(shapes, axisOf(axis, shapes[0]!))}];
  },
  refuses: (inputs, attrs) => (inputs.length === 1 ? SHARES_DATA : sameType(inputs as LazyValue[], attrs)),
  lower(g, inputs, {axis}, [out]) {
    const {perm} = g.any(inputs[0]!);
    const values = inputs.map((v) => g.in(v, perm));
    g.define(out!, g.op('Concat', values, {axis: perm.indexOf(axisOf(axis, out!.shape))}), perm);
  },
};

/** Where a dimension is inserted or taken out, the others keep their order. */
const withDimension = (perm: Permutation, d: number) => perm.map((p) => (p >= d ? p + 1 : p));
const withoutDimension = (perm: Permutation, d: number) => perm.filter((p) => p !== d).map((p) => (p > d ? p - 1 : p));

const pack: KernelEntry = {
  inputs: [],
  infer(inputs, {axis}: {axis: number}) {
    for (const {shape} of inputs) util.assertShapesMatch([...inputs[0]!.shape], [...shape], 'Tensors to stack differ: ');
    const shape = inputs[0]!.shape.toSpliced(axis < 0 ? axis + inputs[0]!.shape.length + 1 : axis, 0, inputs.length);
    return [{dtype: inputs[0]!.dtype, shape}];
  },
  refuses: (inputs, attrs) => (inputs.length === 1 ? SHARES_DATA : sameType(inputs as LazyValue[], attrs)),
  lower(g, inputs, {axis}: {axis: number}, [out]) {
    const {perm} = g.any(inputs[0]!);
    const d = axis < 0 ? axis + out!.shape.length : axis;
    const at = isIdentity(perm) ? d : 0; // in another order, in front: whole tensors one after the other
    const rows = inputs.map((v) => g.op('Unsqueeze', [g.in(v, perm), g.ints([at])]));
    g.define(out!, g.op('Concat', rows, {axis: at}), withDimension(perm, d).toSpliced(at, 0, d));
  },
};

/** x cut along dimension d into parts of the given sizes. */
function split(g: Lowering, x: LazyValue, d: number, sizes: readonly number[]) {
  const {value, perm} = g.any(x);
  const axis = perm.indexOf(d);
  return {parts: g.several('Split', [value, g.ints(sizes)], {axis}, sizes.length), perm, axis};
}

const unpack: KernelEntry = {
  inputs: ['value'],
  list: true,
  infer([x], {axis}) {
    const d = axisOf(axis, x!.shape);
    return Array.from({length: x!.shape[d]!}, () => ({dtype: x!.dtype, shape: x!.shape.toSpliced(d, 1)}));
  },
  lower(g, [x], attrs, outputs) {
    const d = axisOf(attrs.axis, x!.shape);
    const {parts, perm, axis} = split(g, x!, d, new Array(outputs.length).fill(1));
    const left = withoutDimension(perm, d);
    for (const [i, out] of outputs.entries()) g.define(out, g.op('Squeeze', [parts[i], g.ints([axis])]), left);
  },
};

function splitSizes(shape: readonly number[], {numOrSizeSplits, axis}: {numOrSizeSplits: number | number[]; axis: number}) {
  const x = {shape: [...shape]} as Parameters<typeof backend_util.prepareSplitSize>[0];
  return backend_util.prepareSplitSize(x, numOrSizeSplits, axisOf(axis, shape));
}

const splitV: KernelEntry = {
  inputs: ['x'],
  list: true,
  infer([x], attrs) {
    const d = axisOf(attrs.axis, x!.shape);
    return splitSizes(x!.shape, attrs).map((size) => ({dtype: x!.dtype, shape: x!.shape.with(d, size)}));
  },
  lower(g, [x], attrs, outputs) {
    const {parts, perm} = split(g, x!, axisOf(attrs.axis, x!.shape), splitSizes(x!.shape, attrs));
    for (const [i, out] of outputs.entries()) g.define(out, parts[i]!, perm);
  },
};

type Paddings = [number, number][];
const paddedShape = (shape: readonly number[], paddings: Paddings) =>
  shape.map((d, i) => paddings[i]![0] + d + paddings[i]![1]);

const pad: KernelEntry = {
  inputs: ['x'],
  infer: ([x], {paddings}) => [{dtype: x!.dtype, shape: paddedShape(x!.shape, paddings)}],
  refuses: (_, {paddings}: {paddings: Paddings}) =>
    paddings.flat().every((n) => Number.isInteger(n) && n >= 0) ? undefined : 'padding that is not a count',
  lower(g, [x], {paddings, constantValue}: {paddings: Paddings; constantValue: number}, [out]) {
    const {value, perm} = g.any(x!);
    const amounts = [...perm.map((d) => paddings[d]![0]), ...perm.map((d) => paddings[d]![1])];
    g.define(out!, g.op('Pad', [value, g.ints(amounts), g.scalar(constantValue, x!.dtype)]), perm);
  },
};

/** `reflect` leaves the border number out when it turns round, `symmetric` repeats it. ONNX's Pad knows the first only. */
const mirrorPad: KernelEntry = {
  inputs: ['x'],
  infer: ([x], {paddings}) => [{dtype: x!.dtype, shape: paddedShape(x!.shape, paddings)}],
  lower(g, [x], {paddings, mode}: {paddings: Paddings; mode: 'reflect' | 'symmetric'}, [out]) {
    const {value, perm} = g.any(x!);
    const repeat = mode === 'symmetric' ? 1 : 0;
    const mirrored = perm.reduce((v, d, axis) => {
      const [size, [before]] = [x!.shape[d]!, paddings[d]!];
      if (out!.shape[d] === size) return v;
      const source = (i: number) => (i < 0 ? -i - repeat : i >= size ? 2 * (size - 1) - i + repeat : i);
      const indices = Array.from({length: out!.shape[d]!}, (_, i) => source(i - before));
      return g.op('Gather', [v, g.ints(indices)], {axis});
    }, value);
    g.define(out!, mirrored, perm);
  },
};

const tile: KernelEntry = {
  inputs: ['x'],
  infer: ([x], {reps}: {reps: number[]}) => [{dtype: x!.dtype, shape: x!.shape.map((d, i) => d * reps[i]!)}],
  lower(g, [x], {reps}: {reps: number[]}, [out]) {
    const {value, perm} = g.any(x!);
    // where only ones are repeated, nothing yet: most operators broadcast
    const isExpansion = perm.every((d) => reps[d] === 1 || x!.shape[d] === 1);
    g.define(out!, isExpansion ? value : g.op('Tile', [value, g.ints(perm.map((d) => reps[d]!))]), perm);
  },
};

const reverse: KernelEntry = {
  inputs: ['x'],
  infer([x], {dims}) {
    util.parseAxisParam(dims, [...x!.shape]); // throws for axes that are not there
    return [x!];
  },
  refuses: ([x]) => (x!.shape.length === 0 ? SHARES_DATA : undefined),
  lower(g, [x], {dims}, [out]) {
    const turned = new Set(util.parseAxisParam(dims, [...x!.shape]));
    const step = x!.shape.map((_, d) => (turned.has(d) ? -1 : 1));
    const begin = x!.shape.map((size, d) => (turned.has(d) ? size - 1 : 0));
    const {value, perm} = cut(g, x!, {begin, size: x!.shape, step});
    g.define(out!, value, perm);
  },
};

export const shapeKernels: Readonly<Record<string, KernelEntry>> = {
  Concat: concat,
  MirrorPad: mirrorPad,
  Pack: pack,
  PadV2: pad,
  Reverse: reverse,
  Slice: slice,
  SplitV: splitV,
  StridedSlice: stridedSlice,
  Tile: tile,
  Transpose: transpose,
  Unpack: unpack,
};
