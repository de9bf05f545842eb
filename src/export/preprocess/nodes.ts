/** Writes nodes whose shapes depend on the photograph: types are said, not inferred. */
import {float64, int64, tensor} from '../../core/tensor.js';
import type {AttributeValues, Graph, Value} from '../../onnx/graph.js';
import {dataTypeOf, type ValueType} from '../../onnx/ops.js';

export class Nodes {
  constructor(
    readonly graph: Graph,
    private readonly prefix: string,
  ) {}

  /** The type of the first input, unless another is given. */
  op(opType: string, inputs: readonly (Value | undefined)[], attributes: AttributeValues = {}, dtype?: ValueType): Value {
    const types = [{dtype: dtype ?? inputs[0]!.dtype, shape: undefined}];
    return this.graph.node(opType, inputs, attributes, {name: `${this.prefix}/${opType}`, types}).output;
  }
  cast(x: Value, dtype: ValueType): Value {
    return this.op('Cast', [x], {to: dataTypeOf(dtype)}, dtype);
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

  /** Equal constants are one. */
  private shared(name: string, make: () => Parameters<Graph['initializer']>[1]): Value {
    const full = `${this.prefix}/${name}`;
    return this.graph.value(full) ?? this.graph.initializer(full, make());
  }
}
