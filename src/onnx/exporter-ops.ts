/**
 * Operators that other exporters write and this tool does not: computing with shapes, and functions of later networks.
 * Source: https://onnx.ai/onnx/operators/.
 */
import {constantInts, elementwise, type OpSchema, reduction, same, sliceLength} from './op-shapes.js';

const scalar: OpSchema['infer'] = () => [{dtype: 'int64', shape: []}];

export const exporterOps: Readonly<Record<string, OpSchema>> = {
  Shape: {
    since: 1,
    attributes: {start: 'int', end: 'int'},
    infer(node, [x]) {
      const rank = x!.dims.length;
      return [{dtype: 'int64', shape: [sliceLength(rank, node.number('start', 0), node.number('end', rank), 1)]}];
    },
  },
  Size: {since: 1, infer: scalar},
  ConstantOfShape: {
    since: 9,
    attributes: {value: 'tensor'},
    infer(node, [shape]) {
      const value = node.attributes.get('value');
      return [{dtype: value?.kind === 'tensor' ? value.value.dtype : 'float32', shape: constantInts(shape)}];
    },
  },
  Resize: {
    since: 11,
    attributes: {
      antialias: 'int',
      axes: 'ints',
      coordinate_transformation_mode: 'string',
      cubic_coeff_a: 'float',
      exclude_outside: 'int',
      extrapolation_value: 'float',
      keep_aspect_ratio_policy: 'string',
      mode: 'string',
      nearest_mode: 'string',
    },
    infer(node, [x, , , sizes]) {
      const target = node.attributes.has('axes') || node.attributes.has('keep_aspect_ratio_policy') ? undefined : sizes;
      return [{dtype: x!.dtype, shape: constantInts(target)}];
    },
  },
  /** Until opset 9. */
  Upsample: {
    since: 7,
    attributes: {mode: 'string', scales: 'floats'},
    infer: (_, [x]) => same(x!, undefined),
  },
  GlobalMaxPool: {since: 1, infer: (_, [x]) => same(x!, [...x!.dims.slice(0, 2), ...x!.dims.slice(2).map(() => 1)])},
  HardSwish: elementwise(14),
  Mish: elementwise(18),
  Celu: elementwise(12, {alpha: 'float'}),
  ThresholdedRelu: elementwise(10, {alpha: 'float'}),
  Softsign: elementwise(1),
  InstanceNormalization: elementwise(6, {epsilon: 'float'}),
  LRN: elementwise(1, {alpha: 'float', beta: 'float', bias: 'float', size: 'int'}),
  LpNormalization: elementwise(1, {axis: 'int', p: 'int'}),
  GroupNormalization: elementwise(18, {epsilon: 'float', num_groups: 'int', stash_type: 'int'}),
  ReduceL1: reduction(1),
  ReduceL2: reduction(1),
  ReduceSumSquare: reduction(1),
  ReduceLogSum: reduction(1),
  ReduceLogSumExp: reduction(1),
};
