/** Writes nodes whose shapes depend on the photograph: types are said, not inferred. */
import {float64, int64, tensor} from '../../core/tensor.js';
import type {AttributeValues, Dims, Graph, Value} from '../../onnx/graph.js';
import {dataTypeOf, type ValueType} from '../../onnx/ops.js';

export class Nodes {
  constructor(
    readonly graph: Graph,
    private readonly prefix: string,
  ) {}

  /** The type of the first input, unless another is given. */
  op(opType: string, inputs: readonly (Value | undefined)[], attributes: AttributeValues = {}, dtype?: ValueType): Value {
    return this.typed(opType, inputs, attributes, dtype ?? inputs[0]!.dtype, undefined);
  }
  /** With type and shape of the first input. */
  elementwise(opType: string, inputs: readonly Value[]): Value {
    return this.typed(opType, inputs, {}, inputs[0]!.dtype, inputs[0]!.shape);
  }
  cast(x: Value, dtype: ValueType): Value {
    return this.typed('Cast', [x], {to: dataTypeOf(dtype)}, dtype, x.shape);
  }

  /** To a shape that is known although that of `x` is not: from here on every runtime can infer the others. A dimension with a name stays. */
  reshape(x: Value, shape: Dims): Value {
    const target = this.ints(shape.map((d) => (typeof d === 'number' ? d : 0)));
    return this.typed('Reshape', [x, target], {}, x.dtype, shape);
  }

  /** As many of them along the axis as there were. */
  permuted(x: Value, order: readonly number[], axis: number): Value {
    return this.typed('Gather', [x, this.ints(order)], {axis}, x.dtype, x.shape);
  }

  int(value: number): Value {
    return this.shared(`int_${value}`, () => int64([], [value]));
  }
  ints(values: readonly number[]): Value {
    return this.shared(`ints_${values.join('_')}`, () => int64([values.length], values));
  }
  number(value: number): Value {
    return this.shared(`number_${value}`, () => float64([], [value]));
  }
  float32(name: string, shape: readonly number[], values: readonly number[]): Value {
    return this.graph.initializer(`${this.prefix}/${name}`, tensor('float32', shape, Float32Array.from(values)));
  }

  private typed(
    opType: string,
    inputs: readonly (Value | undefined)[],
    attributes: AttributeValues,
    dtype: ValueType,
    shape: Dims | undefined,
  ): Value {
    const types = [{dtype, shape}];
    return this.graph.node(opType, inputs, attributes, {name: `${this.prefix}/${opType}`, types}).output;
  }

  /** Equal constants are one. */
  private shared(name: string, make: () => Parameters<Graph['initializer']>[1]): Value {
    const full = `${this.prefix}/${name}`;
    return this.graph.value(full) ?? this.graph.initializer(full, make());
  }
}
