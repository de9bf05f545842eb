/**
 * Dynamic int8: the weights of matrix products are integers, activations become integers while the model runs, each by its own range.
 * Needs no images. It costs time for every activation, so it serves networks whose time goes into large products: transformers.
 */
import {type Tensor, tensor, toFloat64} from '../../core/tensor.js';
import type {Builder} from '../../onnx/builder.js';
import {cloneModel} from '../../onnx/clone-model.js';
import type {Model, Node, Value} from '../../onnx/graph.js';
import {dataTypeOf} from '../../onnx/ops.js';
import {any, constant, miss, op, optional, rule} from '../../onnx/pattern.js';
import {applyRules} from '../../onnx/rewrite.js';
import {quantiseWeight, type WeightRange} from './affine.js';
import {gemmAxis} from './plan.js';

/** [O, I] → [I, O] */
function transposed({shape, data}: Tensor<'float64'>): Tensor<'float64'> {
  const [rows, columns] = shape as [number, number];
  const out = data.map((_, i) => data[(i % rows) * columns + Math.floor(i / rows)]!);
  return tensor('float64', [columns, rows], out as Float64Array<ArrayBuffer>);
}

/** The integers of x with their scale and zero point; one node serves all products of x. */
function quantisedInput(x: Value, g: Builder, name: string): readonly Value[] {
  const known = [...x.users].find((user) => user.opType === 'DynamicQuantizeLinear');
  return (known ?? g.node('DynamicQuantizeLinear', [x], {}, {name: `${name}.q`, outputs: 3})).outputs;
}

const columnsOf = (node: Node): number | undefined => (node.opType === 'MatMul' ? 1 : gemmAxis(node));

/** x·W + b → (xq·Wq)·(sx·sw) + b. onnxruntime makes one node of it. */
const dynamicProduct = (range: WeightRange | undefined) =>
  rule({
    name: 'quantise-product-dynamically',
    match: op(['MatMul', 'Gemm'], [any('x'), constant('weight'), optional(constant('bias'))], 'product'),
    check({weight, product}) {
      if (weight.dtype !== 'float32' || weight.initializer.shape.length !== 2)
        return miss('the weight is no float32 matrix', weight);
      return columnsOf(product) === undefined ? miss('alpha, beta or transA are set', product) : undefined;
    },
    rewrite({x, weight, bias, product}, g) {
      const {name} = product;
      const stored = toFloat64(weight.initializer.read());
      const {values, scales} = quantiseWeight(columnsOf(product) === 0 ? transposed(stored) : stored, 1, {
        inputScale: 1,
        range,
      });
      const [q, scale, zero] = quantisedInput(x, g, x.name) as [Value, Value, Value];
      const w = g.initializer(`${weight.name}.i8`, values);
      const sums = g.op('MatMulInteger', [q, w, zero], {}, {name: `${name}.integers`});
      const floats = g.op('Cast', [sums], {to: dataTypeOf('float32')}, {name: `${name}.floats`});
      const factor = g.op('Mul', [scale, g.initializer(`${weight.name}.s`, scales)], {}, {name: `${name}.scale`});
      return bias
        ? g.op('Add', [g.op('Mul', [floats, factor], {}, {name: `${name}.scaled`}), bias])
        : g.op('Mul', [floats, factor]);
    },
  });

/** A new model; `model` stays as it is. `products` counts what was quantised. */
export function quantiseDynamically(model: Model, range?: WeightRange): {model: Model; products: number} {
  const copy = cloneModel(model);
  return {products: applyRules(copy.graph, [dynamicProduct(range)]).changes, model: copy};
}
