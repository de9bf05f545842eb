/** Kernels that choose numbers by position or by condition. */

import {backend_util, upcastType} from '@tensorflow/tfjs-core';
import {sameShape} from '../../core/tensor.js';
import type {KernelEntry} from '../lowering/kernel-entry.js';
import type {Lowering} from '../lowering/lowering.js';
import type {LazyDType, LazyValue} from '../lowering/value.js';
import {convert, where} from './convert.js';

const select: KernelEntry = {
  inputs: ['condition', 't', 'e'],
  infer: ([, t, e]) => [{dtype: upcastType(t!.dtype, e!.dtype) as LazyDType, shape: t!.shape}],
  refuses: ([condition, t, e]) =>
    condition!.dtype === 'bool' && sameShape(condition!.shape, t!.shape) && sameShape(t!.shape, e!.shape)
      ? undefined
      : 'operands of several shapes',
  lower(g, [condition, t, e], _, [out]) {
    const {perm} = g.any(t!);
    const [yes, no] = [t!, e!].map((v) => convert(g, g.in(v, perm), out!.dtype));
    g.define(out!, where(g, g.in(condition!, perm), yes!, no!), perm);
  },
};

/** Rows that are all off for an index that is not there, as in TensorFlow.js; ONNX's OneHot counts from the end, and lacks int32. */
const oneHot: KernelEntry = {
  inputs: ['indices'],
  infer: ([x], {depth, dtype}) => [{dtype: dtype ?? 'int32', shape: [...x!.shape, depth]}],
  refuses: (_, {onValue, offValue, dtype}) =>
    dtype === 'bool' && !(onValue === 1 && offValue === 0) ? 'bools other than true and false' : undefined,
  lower(g, [x], {depth, onValue, offValue}: {depth: number; onValue: number; offValue: number}, [out]) {
    const indices = g.op('Unsqueeze', [convert(g, g.plain(x!), 'int64'), g.ints([-1])]);
    const positions = g.ints(Array.from({length: depth}, (_, i) => i));
    const isOn = g.op('Equal', [indices, positions]);
    if (onValue === 1 && offValue === 0) return g.define(out!, convert(g, isOn, out!.dtype));
    g.define(out!, g.op('Where', [isOn, g.scalar(onValue, out!.dtype), g.scalar(offValue, out!.dtype)]));
  },
};

/** TensorFlow.js says which index is wrong when it is called: where the host knows the numbers, so do we. */
const outside = (indices: LazyValue, size: number): string | undefined =>
  indices.data?.some((i) => i < 0 || i >= size) ? 'indices outside the tensor' : undefined;

const gather: KernelEntry = {
  inputs: ['x', 'indices'],
  infer([x, indices], {axis}: {axis: number}) {
    const d = axis < 0 ? axis + x!.shape.length : axis;
    return [{dtype: x!.dtype, shape: x!.shape.toSpliced(d, 1, ...indices!.shape)}];
  },
  refuses: ([x, indices], {axis, batchDims}) => (batchDims ? 'batch dimensions' : outside(indices!, x!.shape.at(axis)!)),
  lower(g, [x, indices], {axis}: {axis: number}, [out]) {
    const d = axis < 0 ? axis + x!.shape.length : axis;
    g.define(out!, g.op('Gather', [g.plain(x!), convert(g, g.plain(indices!), 'int32')], {axis: d}));
  },
};

/** Whether any index tuple, along the last dimension, lies outside the leading dimensions of `shape`. */
function tuplesOutside(indices: LazyValue, shape: readonly number[]): string | undefined {
  const length = indices.shape.length > 1 ? indices.shape.at(-1)! : 1;
  return indices.data?.some((i, at) => i < 0 || i >= shape[at % length]!) ? 'indices outside the tensor' : undefined;
}

const gatherNd: KernelEntry = {
  inputs: ['params', 'indices'],
  infer([params, indices]) {
    const [a, b] = [params!, indices!].map((v) => ({...v, shape: [...v.shape]}));
    return [{dtype: params!.dtype, shape: backend_util.prepareAndValidate(a as never, b as never)[0]}];
  },
  refuses: ([params, indices]) => tuplesOutside(indices!, params!.shape),
  lower(g, [params, indices], _, [out]) {
    g.define(out!, g.op('GatherND', [g.plain(params!), convert(g, g.plain(indices!), 'int64')]));
  },
};

const zeros = (g: Lowering, shape: readonly number[], dtype: LazyDType) => g.op('Expand', [g.scalar(0, dtype), g.ints(shape)]);

const scatterNd: KernelEntry = {
  inputs: ['indices', 'updates'],
  infer: ([, updates], {shape}) => [{dtype: updates!.dtype, shape}],
  refuses: ([indices, updates], {shape}) =>
    updates!.dtype === 'bool' || updates!.shape.length === 0 ? 'updates' : tuplesOutside(indices!, shape),
  lower(g, [indices, updates], {shape}, [out]) {
    const list = convert(g, g.plain(indices!), 'int64');
    const positions = indices!.shape.length > 1 ? list : g.op('Unsqueeze', [list, g.ints([-1])]);
    g.define(out!, g.op('ScatterND', [zeros(g, shape, out!.dtype), positions, g.plain(updates!)], {reduction: 'add'}));
  },
};

/** Sums of rows by number, the gradient of Gather. Rows with a number that is not there are left out: they go to one row more. */
const segmentSum: KernelEntry = {
  inputs: ['x', 'segmentIds'],
  infer: ([x, ids], {numSegments}) => [{dtype: 'float32', shape: [numSegments, ...x!.shape.slice(ids!.shape.length)]}],
  refuses: ([x, ids]) =>
    ids!.shape.length === 1 && x!.dtype === 'float32' ? undefined : `segments of rank ${ids!.shape.length}`,
  lower(g, [x, segmentIds], {numSegments}: {numSegments: number}, [out]) {
    const ids = g.plain(segmentIds!);
    const [none, count] = [g.scalar(0, 'int32'), g.scalar(numSegments, 'int32')];
    const isThere = g.op('And', [g.op('GreaterOrEqual', [ids, none]), g.op('Less', [ids, count])]);
    const rows = g.op('Unsqueeze', [convert(g, g.op('Where', [isThere, ids, count]), 'int64'), g.ints([1])]);
    const start = zeros(g, [numSegments + 1, ...out!.shape.slice(1)], 'float32');
    const sums = g.op('ScatterND', [start, rows, g.plain(x!)], {reduction: 'add'});
    g.define(out!, g.op('Slice', [sums, g.ints([0]), g.ints([numSegments]), g.ints([0])]));
  },
};

const topK: KernelEntry = {
  inputs: ['x'],
  list: true,
  infer([x], {k}: {k: number}) {
    const shape = [...x!.shape.slice(0, -1), k];
    return [
      {dtype: x!.dtype, shape},
      {dtype: 'int32', shape},
    ];
  },
  refuses: ([x], {sorted}) => (x!.dtype === 'bool' || !sorted ? 'unsorted results' : undefined),
  lower(g, [x], {k}: {k: number}, [values, indices]) {
    const found = g.several('TopK', [g.plain(x!), g.ints([k])], {axis: -1}, 2);
    g.define(values!, found[0]!);
    g.define(indices!, convert(g, found[1]!, 'int32'));
  },
};

export const selectionKernels: Readonly<Record<string, KernelEntry>> = {
  GatherNd: gatherNd,
  GatherV2: gather,
  OneHot: oneHot,
  ScatterNd: scatterNd,
  Select: select,
  TopK: topK,
  UnsortedSegmentSum: segmentSum,
};
