/**
 * From recorded calls to an ONNX graph. Each value carries the permutation in which it exists: TensorFlow.js speaks NHWC,
 * onnxruntime's convolutions NCHW, and a transpose is made only where two neighbours disagree.
 */
import {dtypes, elementCount, float32, float64, int64, sameShape, type Tensor, tensor} from '../../core/tensor.js';
import {type AttributeValues, type Dims, Graph, type Value} from '../../onnx/graph.js';
import {dataTypeOf} from '../../onnx/ops.js';
import {intsInitializer} from '../../onnx/tensor-ops.js';
import {
  type FloatPrecision,
  identity,
  isIdentity,
  type LazyCall,
  type LazyDType,
  type LazyValue,
  type Permutation,
  physicalType,
} from './value.js';

/** Operators that onnxruntime's cpu provider has for float32 alone. Dense and depthwise convolutions have a way of their own: `tap-products.ts`. */
const FLOAT32_ONLY: ReadonlySet<string> = new Set(
  'Acos Acosh Asin Asinh Atan Atanh AveragePool Conv ConvTranspose Cosh Elu Erf HardSigmoid LeakyRelu PRelu Selu Sinh Softplus'.split(
    ' ',
  ),
);

/** Numbers of a value that waits for later calls: 16 MiB. */
const LARGEST_KEPT = 1 << 22;

/** onnxruntime's own operators on images in blocks of channels (contrib_ops/cpu/nchwc_ops.cc). */
export const NCHWC = 'com.microsoft.nchwc';

/** [N, C, H, W] as [N, H, W, C]. */
export const channelsLast = <T>([n, c, h, w]: readonly T[]): T[] => [n!, h!, w!, c!];

/** An ONNX value with the order of its dimensions. */
export interface Laid {
  value: Value;
  perm: Permutation;
  /** Images, said to be [N, C, H, W], that lie in onnxruntime's blocks of channels, [N, C/B, H, W, B]: `kernels/convolution/blocks.ts`. */
  inBlocks?: boolean;
}
/** What decides how a value can be used. */
export type Form = Omit<Laid, 'value'>;

/** Finds the fastest of several ways: `strategies.ts`. */
export interface StrategyChooser {
  /** Channels of a block; undefined where the provider has no operators for them. */
  readonly block: number | undefined;
  choose(
    what: string,
    inputs: readonly LazyValue[],
    forms: readonly Form[],
    strategies: Readonly<Record<string, (g: Lowering, inputs: readonly LazyValue[]) => Laid>>,
  ): string;
}

export class Lowering {
  readonly graph = new Graph('step');
  private count = 0;
  private readonly laid = new Map<LazyValue, Laid[]>();
  /** Values that repeat along some dimensions, physically 1 there: they are filled up only where an operator cannot broadcast. */
  private readonly thin = new Map<LazyValue, Laid>();

  private readonly uses = new Map<LazyValue, number>();
  private readonly made = new Map<LazyValue, Map<string, Value>>();

  constructor(
    private readonly chooser?: StrategyChooser,
    /** What float32 tensors are computed in. */
    readonly precision: FloatPrecision = 'float32',
  ) {}

  /** Before they are lowered: who uses what. What is wanted has a user outside. */
  announce(calls: readonly LazyCall[], wanted: readonly LazyValue[]): void {
    for (const v of [...calls.flatMap(({inputs}) => inputs), ...wanted]) this.uses.set(v, (this.uses.get(v) ?? 0) + 1);
  }

  /** Whether v can be left out where its one user computes it on its own. */
  isUsedOnce(v: LazyValue): boolean {
    return this.uses.get(v) === 1;
  }

  /** Channels of a block, where images may lie in blocks. */
  get block(): number | undefined {
    return this.precision === 'float32' ? this.chooser?.block : undefined;
  }

  /** One of several ways to compute a value: the fastest where a chooser measures, else the first. */
  fastest(
    what: string,
    inputs: readonly LazyValue[],
    strategies: Readonly<Record<string, (g: Lowering, inputs: readonly LazyValue[]) => Laid>>,
  ): Laid {
    const forms = inputs.map((v) => this.form(v));
    const name = this.chooser?.choose(what, inputs, forms, strategies) ?? Object.keys(strategies)[0]!;
    return strategies[name]!(this, inputs);
  }

  /** An input of the graph for numbers that exist already. */
  feed(v: LazyValue, name: string): void {
    const perm = v.layout ?? identity(v.shape.length);
    const value = this.graph.input(
      name,
      physicalType(v),
      perm.map((p) => v.shape[p]!),
    );
    this.laid.set(v, [{value: this.wide(value), perm}]);
  }

  /** Says what computes v. Where `value` has ones for larger dimensions of v, its numbers repeat. */
  define(v: LazyValue, value: Value, perm: Permutation = identity(v.shape.length), inBlocks = false): void {
    const repeats = perm.some((d, i) => value.dims[i] === 1 && v.shape[d] !== 1);
    if (repeats) this.thin.set(v, {value, perm});
    else this.laid.set(v, [{value, perm, inBlocks}]);
  }

  /** v as it was computed: in blocks, too, and with ones along dimensions where it repeats. */
  form(v: LazyValue): Laid {
    const form = this.laid.get(v)?.[0] ?? this.thin.get(v);
    if (!form) throw new Error(`a ${v.dtype} value of shape [${v.shape}] is used before it is computed`);
    return form;
  }

  /** Whether v exists with ones along dimensions where it repeats, and not otherwise. */
  isThin(v: LazyValue): boolean {
    return !this.laid.has(v);
  }

  /** v with its dimensions in some order. */
  any(v: LazyValue): Laid {
    const forms = this.laid.get(v);
    const known = forms?.find((f) => !f.inBlocks);
    if (known) return known;
    const {value, perm} = this.form(v);
    const full = forms ? this.outOfBlocks(value) : this.op('Expand', [value, this.ints(perm.map((d) => v.shape[d]!))]);
    this.laid.set(v, [...(forms ?? []), {value: full, perm}]);
    return {value: full, perm};
  }

  /** The same with ones along dimensions where it repeats: for operators that broadcast. */
  compact(v: LazyValue): Laid {
    const form = this.form(v);
    return form.inBlocks ? this.any(v) : form;
  }

  /** v in the order asked for; transposed once, however often it is asked for. */
  in(v: LazyValue, perm: Permutation): Value {
    const known = this.laid.get(v)?.find((f) => !f.inBlocks && sameShape(f.perm, perm));
    if (known) return known.value;
    const blocks = this.laid.get(v)?.find((f) => f.inBlocks);
    const isLast = blocks && sameShape(channelsLast(blocks.perm), perm);
    const value = isLast ? this.outOfBlocks(blocks.value, true) : this.ordered(this.any(v), perm);
    const forms = this.laid.get(v)!;
    if (!forms.some((f) => f.value === value)) forms.push({value, perm});
    return value;
  }

  /** v, images of which `perm` is the order [N, C, H, W], in blocks of channels. */
  blocks(v: LazyValue, perm: Permutation): Value {
    const known = this.blocksOf(v, perm);
    if (known) return known;
    const value = this.intoBlocks(this.in(v, perm));
    this.laid.get(v)!.push({value, perm, inBlocks: true});
    return value;
  }
  /** The same where it has been computed so. */
  blocksOf(v: LazyValue, perm: Permutation): Value | undefined {
    return this.laid.get(v)?.find((f) => f.inBlocks && sameShape(f.perm, perm))?.value;
  }
  /** x [N, C, H, W] in blocks of channels. It is said to keep its shape: the operators know better. */
  intoBlocks(x: Value): Value {
    return this.internal(NCHWC, 'ReorderInput', [x], {}, x.dims);
  }
  /** What is said to be [N, C, H, W] and is in blocks, as that, or as [N, H, W, C]. */
  outOfBlocks(x: Value, isLast = false): Value {
    const channels = x.dims[1] as number;
    if (isLast && channels === this.block) return this.reshape(x, channelsLast(x.dims as number[])); // it is one block
    if (!isLast) return this.internal(NCHWC, 'ReorderOutput', [x], {channels}, x.dims);
    return this.internal(NCHWC, 'ReorderOutput', [x], {channels, channels_last: 1}, channelsLast(x.dims));
  }

  /**
   * What several calls make of v: made by the first of them. `what` says what it is. Where it is large it is made again: from a convolution to its
   * gradients it would lie in memory all the while.
   */
  derived(v: LazyValue, what: string, make: () => Value): Value {
    const known = this.made.get(v) ?? new Map<string, Value>();
    this.made.set(v, known);
    const value = known.get(what) ?? make();
    if (elementCount(value.dims as number[]) <= LARGEST_KEPT) known.set(what, value);
    return value;
  }

  /** A value in another order of its dimensions. */
  ordered({value, perm: have}: Laid, perm: Permutation): Value {
    const moves = perm.map((p) => have.indexOf(p));
    if (isIdentity(moves)) return value;
    const dims = value.dims as number[];
    const large = moves.filter((axis) => dims[axis] !== 1);
    const inPlace = large.every((axis, i) => i === 0 || axis > large[i - 1]!); // only dimensions of one number move
    if (inPlace) {
      return this.reshape(
        value,
        moves.map((axis) => dims[axis]!),
      );
    }
    return this.op('Transpose', [value], {perm: moves});
  }

  /** v with its dimensions in TensorFlow.js's order. */
  plain(v: LazyValue): Value {
    return this.in(v, identity(v.shape.length));
  }

  /**
   * v as an operand beside values of rank `perm.length` in that order: its shape is filled up with ones in front, as
   * broadcasting would, and then permuted. Only a vector among ones needs no transpose.
   */
  broadcastable(v: LazyValue, perm: Permutation): Value {
    const rank = perm.length;
    if (v.shape.length === rank) return this.laid.has(v) ? this.in(v, perm) : this.ordered(this.compact(v), perm);
    if (isIdentity(perm) || v.shape.length === 0) return this.plain(v);
    const full = [...new Array<number>(rank - v.shape.length).fill(1), ...v.shape];
    const permuted = perm.map((p) => full[p]!);
    const moved = full.filter((d) => d > 1).length > 1;
    if (!moved) return this.reshape(this.plain(v), permuted);
    return this.op('Transpose', [this.reshape(this.plain(v), full)], {perm: [...perm]});
  }

  op(opType: string, inputs: readonly (Value | undefined)[], attributes: AttributeValues = {}): Value {
    if (this.precision === 'float64' && FLOAT32_ONLY.has(opType)) return this.narrowed(opType, inputs, attributes);
    return this.graph.op(opType, inputs, attributes, {name: this.nameOf(opType)});
  }
  private narrowed(opType: string, inputs: readonly (Value | undefined)[], attributes: AttributeValues): Value {
    const operands = inputs.map((v) => (v?.dtype === 'float64' ? this.cast(v, 'float32') : v));
    return this.wide(this.graph.op(opType, operands, attributes, {name: this.nameOf(opType)}));
  }
  /** Numbers of a float32 tensor as they are computed with. */
  private wide(v: Value): Value {
    return v.dtype === 'float32' && this.precision === 'float64' ? this.cast(v, 'float64') : v;
  }
  private cast(v: Value, to: FloatPrecision): Value {
    return this.graph.op('Cast', [v], {to: dataTypeOf(to)}, {name: this.nameOf('Cast')});
  }
  /** For an operator of another domain, whose result has the given shape. */
  internal(
    domain: string,
    opType: string,
    inputs: readonly (Value | undefined)[],
    attributes: AttributeValues,
    shape: Dims,
  ): Value {
    const types = [{dtype: inputs[0]!.dtype, shape}];
    return this.graph.op(opType, inputs, attributes, {name: this.nameOf(opType), domain, types});
  }
  /** For operators with several results. */
  several(opType: string, inputs: readonly Value[], attributes: AttributeValues, outputs: number): readonly Value[] {
    return this.graph.node(opType, inputs, attributes, {name: this.nameOf(opType), outputs}).outputs;
  }
  /** Counted here: the graph looks for a free name from 1 on, which is slow among thousands. */
  private nameOf(opType: string): string {
    return `${opType}.${this.count++}`;
  }
  reshape(x: Value, shape: readonly number[]): Value {
    const {producer} = x;
    if (producer?.opType === 'Reshape') return this.reshape(producer.inputs[0]!, shape);
    if (x.dims.length === shape.length && shape.every((d, i) => d === x.dims[i])) return x;
    return this.op('Reshape', [x, this.ints(shape)], shape.includes(0) ? {allowzero: 1} : {});
  }
  ints(values: readonly number[]): Value {
    return intsInitializer(this.graph, values);
  }
  /** Many: `ints` has them in its name, so that equal ones are one; here the caller has a name for them. */
  indices(values: readonly number[], name = this.nameOf('indices')): Value {
    return this.graph.initializer(name, int64([values.length], values));
  }
  /** Numbers that are part of the structure; where there is a name, equal names are one. */
  matrix(shape: readonly number[], numbers: readonly number[], name = this.nameOf('matrix')): Value {
    const {array} = dtypes[this.precision];
    return this.graph.value(name) ?? this.graph.initializer(name, tensor(this.precision, shape, array.from(numbers)));
  }
  /** A scalar that is part of the structure (a bound, a zero); numbers that may change are inputs. */
  scalar(value: number, dtype: LazyDType = 'float32'): Value {
    const name = `${dtype}_${value}`;
    const type = dtype === 'float32' ? this.precision : dtype;
    return this.graph.value(name) ?? this.graph.initializer(name, scalarTensor(value, type));
  }
}

function scalarTensor(value: number, dtype: LazyDType | FloatPrecision): Tensor {
  if (dtype === 'float64') return float64([], [value]);
  if (dtype === 'float32') return float32([], [value]);
  return dtype === 'int32' ? tensor('int32', [], Int32Array.of(value)) : tensor('bool', [], Uint8Array.of(value ? 1 : 0));
}
