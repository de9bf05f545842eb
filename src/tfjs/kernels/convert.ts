/** From one type of numbers to another as TensorFlow.js's cpu backend does it, where typed arrays convert as they are filled. */
import type {Value} from '../../onnx/graph.js';
import {dataTypeOf} from '../../onnx/ops.js';
import {type KernelEntry, SHARES_DATA} from '../lowering/kernel-entry.js';
import type {Lowering} from '../lowering/lowering.js';
import type {LazyDType} from '../lowering/value.js';

type AnyDType = LazyDType | 'float64' | 'int64';

/** x as numbers of another type. Fractions are cut off; what no integer can hold becomes 0, as in an Int32Array. */
export function convert(g: Lowering, x: Value, asked: AnyDType): Value {
  const dtype = asked === 'float32' ? g.precision : asked;
  if (x.dtype === dtype) return x;
  const fromFloat = x.dtype === 'float32' || x.dtype === 'float64';
  const source = fromFloat && dtype === 'int32' ? finiteOrZero(g, x) : x;
  return g.op('Cast', [source], {to: dataTypeOf(dtype)});
}

/** x − x is 0 exactly for finite numbers. onnxruntime's Cast gives −2³¹ for NaN and infinities. */
function finiteOrZero(g: Lowering, x: Value): Value {
  const zero = convert(g, g.scalar(0), x.dtype === 'float64' ? 'float64' : 'float32');
  return g.op('Where', [g.op('Equal', [g.op('Sub', [x, x]), zero]), x, zero]);
}

/** A choice between numbers of one type: onnxruntime's Where knows no bool. */
export function where(g: Lowering, condition: Value, x: Value, y: Value): Value {
  if (x.dtype !== 'bool') return g.op('Where', [condition, x, y]);
  return convert(g, g.op('Where', [condition, convert(g, x, 'int32'), convert(g, y, 'int32')]), 'bool');
}

export const castEntry: KernelEntry = {
  inputs: ['x'],
  infer: ([x], {dtype}) => [{dtype, shape: x!.shape}],
  refuses([x], {dtype}: {dtype: string}) {
    if (dtype === x!.dtype) return SHARES_DATA;
    return dtype === 'float32' || dtype === 'int32' || dtype === 'bool' ? undefined : `result is ${dtype}`;
  },
  lower(g, [x], {dtype}, [out]) {
    const {value, perm} = g.any(x!);
    g.define(out!, convert(g, value, dtype), perm);
  },
};
