/** Kernels on one tensor, number by number. They keep whatever order of dimensions their operand has. */
import type {AttributeValues, Value} from '../../onnx/graph.js';
import {dataTypeOf} from '../../onnx/ops.js';
import type {Attributes, KernelEntry} from '../lowering/kernel-entry.js';
import type {Laid, Lowering} from '../lowering/lowering.js';
import type {LazyDType, LazyValue} from '../lowering/value.js';
import {convert} from './convert.js';
import {followed} from './convolution/blocks.js';

type Formula = (g: Lowering, x: Value, attrs: Attributes) => Value;

/** x as it was computed; in blocks only where they can be left again, which onnxruntime can with float32. */
const formOf = (g: Lowering, x: LazyValue, {dtype}: LazyValue): Laid => (dtype === 'float32' ? g.form(x) : g.compact(x));

/** A formula on floats. Other types are computed as float32 and keep their type, as TensorFlow.js's cpu kernels do. */
const onFloats = (formula: Formula, result?: LazyDType): KernelEntry => ({
  inputs: ['x'],
  infer: ([x]) => [{dtype: result ?? x!.dtype, shape: x!.shape}],
  lower(g, [x], attrs, [out]) {
    const {value, perm, inBlocks} = formOf(g, x!, out!);
    g.define(out!, convert(g, formula(g, convert(g, value, 'float32'), attrs), out!.dtype), perm, inBlocks);
  },
});

/** A formula on numbers of any type but bool, which counts as int32. */
const onNumbers = (formula: Formula): KernelEntry => ({
  inputs: ['x'],
  infer: ([x]) => [{dtype: x!.dtype, shape: x!.shape}],
  lower(g, [x], attrs, [out]) {
    const {value, perm, inBlocks} = formOf(g, x!, out!);
    const number = value.dtype === 'bool' ? convert(g, value, 'int32') : value;
    g.define(out!, convert(g, formula(g, number, attrs), out!.dtype), perm, inBlocks);
  },
});

const op =
  (opType: string, attributes: AttributeValues = {}): Formula =>
  (g, x) =>
    g.op(opType, [x], attributes);

/** Integers are whole already. */
const rounding = (opType: string): KernelEntry => onNumbers((g, x) => (x.dtype === g.precision ? g.op(opType, [x]) : x));

/** -1, 0 or 1; 0 for NaN, which ONNX's Sign keeps. */
const sign: Formula = (g, x) => {
  const zero = g.scalar(0, x.dtype as LazyDType);
  const is = (comparison: string) => g.op('Cast', [g.op(comparison, [x, zero])], {to: dataTypeOf(x.dtype)});
  return g.op('Sub', [is('Greater'), is('Less')]);
};

/**
 * 1 where x > 0, else alpha; NaN stays NaN. HardSigmoid is max(0, min(1, 10³⁸·x)): one pass instead of the four of a comparison,
 * exact but for 0 < x < 10⁻³⁸.
 */
const step: Formula = (g, x, {alpha = 0}) => {
  const positive = g.op('HardSigmoid', [x], {alpha: 1e38, beta: 0});
  if (alpha === 0) return positive;
  return g.op('Add', [g.op('Mul', [positive, g.scalar(1 - alpha)]), g.scalar(alpha)]);
};

/** eˣ − 1 = 2·sinh(x/2)·e^(x/2): nothing cancels near 0. */
const expm1: Formula = (g, x) => {
  const half = g.op('Mul', [x, g.scalar(0.5)]);
  const exp = g.op('Exp', [half]);
  const sinh = g.op('Sinh', [half]);
  return g.op('Mul', [g.op('Mul', [sinh, g.scalar(2)]), exp]);
};

/** log(1 + x), near 0 as 2·atanh(x / (2 + x)): nothing cancels. */
const log1p: Formula = (g, x) => {
  const near = g.op('Less', [g.op('Abs', [x]), g.scalar(0.5)]);
  const atanh = g.op('Atanh', [g.op('Div', [x, g.op('Add', [x, g.scalar(2)])])]);
  return g.op('Where', [near, g.op('Mul', [atanh, g.scalar(2)]), g.op('Log', [g.op('Add', [x, g.scalar(1)])])]);
};

/** In float64, which onnxruntime's own Tan lacks: near the poles a float32 one is not exact to its last digits. */
const tan: Formula = (g, x) => {
  const wide = convert(g, x, 'float64');
  return convert(g, g.op('Div', [g.op('Sin', [wide]), g.op('Cos', [wide])]), 'float32');
};

const finite: Formula = (g, x) => g.op('Not', [g.op('Or', [g.op('IsNaN', [x]), g.op('IsInf', [x])])]);

const clip: Formula = (g, x, {clipValueMin, clipValueMax}) => {
  const isFloat = x.dtype === g.precision;
  const [least, most] = [clipValueMin, clipValueMax].map((v) => g.scalar(v, isFloat ? 'float32' : 'int32'));
  return g.op('Clip', [x, least, most]);
};

/** As Relu6 of TensorFlow.js. */
const relu6: Formula = (g, x) => g.op('Clip', [x, g.scalar(0), g.scalar(6)]);

export const unaryFormulas: Readonly<Record<string, Formula>> = {
  relu: op('Relu'),
  relu6,
  elu: op('Elu'),
  sigmoid: op('Sigmoid'),
  leakyrelu: (g, x, {leakyreluAlpha}) => g.op('LeakyRelu', [x], {alpha: leakyreluAlpha}),
};

const floatFunctions =
  'Acos Acosh Asin Asinh Atan Atanh Cos Cosh Elu Erf Log Reciprocal Selu Sigmoid Sin Sinh Softplus Sqrt Tanh'.split(' ');

/** Of integers in float64: rounding once is as near as a float32 result can be. */
const exp: KernelEntry = {
  inputs: ['x'],
  infer: ([x]) => [{dtype: 'float32', shape: x!.shape}],
  lower(g, [x], _, [out]) {
    const {value, perm, inBlocks} = g.form(x!);
    const number = value.dtype === g.precision ? value : convert(g, value, 'float64');
    g.define(out!, convert(g, g.op('Exp', [number]), 'float32'), perm, inBlocks);
  },
};

/** Where a convolution leaves its result, on the way. */
const ownRelu = onNumbers(op('Relu'));
const relu: KernelEntry = {
  ...ownRelu,
  lower(g, inputs, attrs, outputs) {
    const [x, out] = [inputs[0]!, outputs[0]!];
    const value = followed(g, x, {activation: 'Relu'});
    if (value) g.define(out, value, g.form(x).perm, true);
    else ownRelu.lower(g, inputs, attrs, outputs);
  },
};

export const unaryKernels: Readonly<Record<string, KernelEntry>> = {
  ...Object.fromEntries(floatFunctions.map((name) => [name, onFloats(op(name))])),
  Abs: onNumbers(op('Abs')),
  Ceil: rounding('Ceil'),
  ClipByValue: {
    ...onNumbers(clip),
    refuses: ([x], {clipValueMin, clipValueMax}) =>
      x!.dtype !== 'float32' && !(Number.isInteger(clipValueMin) && Number.isInteger(clipValueMax))
        ? `${x!.dtype} numbers between fractions`
        : undefined,
  },
  Exp: exp,
  Expm1: onFloats(expm1),
  Floor: rounding('Floor'),
  IsFinite: onFloats(finite, 'bool'),
  IsInf: onFloats(op('IsInf'), 'bool'),
  IsNan: onFloats(op('IsNaN'), 'bool'),
  LeakyRelu: {
    ...onFloats((g, x, {alpha}) => g.op('LeakyRelu', [x], {alpha})),
    infer: ([x]) => [{dtype: 'float32', shape: x!.shape}],
  },
  Log1p: onFloats(log1p),
  LogicalNot: {
    ...onFloats(op('Not'), 'bool'),
    lower(g, [x], _, [out]) {
      const {value, perm} = g.compact(x!);
      g.define(out!, g.op('Not', [convert(g, value, 'bool')]), perm);
    },
  },
  Neg: onNumbers(op('Neg')),
  Relu: relu,
  Relu6: onFloats(relu6),
  Round: rounding('Round'), // half to even, both
  Rsqrt: onFloats((g, x) => g.op('Reciprocal', [g.op('Sqrt', [x])])),
  Sign: onNumbers(sign),
  Square: onNumbers((g, x) => g.op('Mul', [x, x])),
  Step: onFloats(step),
  Tan: onFloats(tan),
};
