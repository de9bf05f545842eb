/**
 * A float32 network in float16. Nodes that touch a value which float16 cannot hold stay in float32, and casts are put where the two
 * meet: one a value and direction, so that neighbours in float32 exchange their values without any. So does the last node where logits
 * are given in float32: rounded to steps of 0.016, as float16 has them from 16 on, near answers would change places.
 */
import {GpdError} from '../../core/error.js';
import {float32ToHalf} from '../../core/half.js';
import {elementCount, type Tensor, tensor, toFloat32} from '../../core/tensor.js';
import {type Attribute, Graph, type Model, Node, Value} from '../../onnx/graph.js';
import {typesOfOutputs} from '../../onnx/op-types.js';
import {dataTypeOf, ops} from '../../onnx/ops.js';
import {refuseReduced} from '../float-source.js';
import {type Unfit, unfit, type ValueRange, valueRangeOf} from './range.js';

type Float = 'float32' | 'float16';

/** Constants with fewer numbers are not worth a cast. */
const MIN_STORED_HALF = 768;

/** A value that float16 cannot hold. */
export interface UnfitValue extends Unfit {
  readonly value: string;
}
/** A node that computes in float32, and why. */
export interface KeptNode {
  readonly node: string;
  readonly operator: string;
  readonly because: UnfitValue;
}
export interface HalfModel {
  readonly model: Model;
  readonly kept: readonly KeptNode[];
  /** How many casts there are, those at the borders included. */
  readonly casts: number;
}

/** Operators that take float32 alone, in every opset: https://onnx.ai/onnx/operators/. */
const float32Only = new Set(['Resize', 'QuantizeLinear', 'DequantizeLinear', 'DynamicQuantizeLinear']);

/** Throws EXPORT_REFUSED for a graph whose types cannot be told: an operator that is not known here. */
function checkKnown({graph}: Model): void {
  const foreign = graph.nodes.find(({opType, domain}) => domain !== '' || !ops[opType]);
  if (!foreign) return;
  throw new GpdError('EXPORT_REFUSED', `fp16: ${foreign} is an operator whose types are not known here`, {
    at: foreign.name,
    hint: 'export the model from its framework without it, or use fp32',
  });
}

/** Values that float16 cannot hold: constants as they are, the others by what was measured. */
export function unfitValues({graph}: Model, ranges: ReadonlyMap<string, ValueRange>): Map<Value, UnfitValue> {
  const found = new Map<Value, UnfitValue>();
  for (const value of graph.allValues()) {
    if (value.dtype !== 'float32') continue;
    const range = value.initializer ? valueRangeOf(toFloat32(value.initializer.read()).data) : ranges.get(value.name);
    const problem = range && unfit(range);
    if (problem) found.set(value, {value: value.name, ...problem});
  }
  return found;
}

export function toHalf(original: Model, ranges: ReadonlyMap<string, ValueRange>, io: Float): HalfModel {
  refuseReduced(original.graph, 'fp16');
  checkKnown(original);
  const unfitting = unfitValues(original, ranges);
  const writer = new HalfWriter(original.graph, io, unfitting);
  const last = new Set(io === 'float32' ? original.graph.outputs.map(({producer}) => producer) : []);
  const kept: KeptNode[] = [];
  for (const node of original.graph.nodes) {
    const because = [...node.inputs, ...node.outputs].map((v) => v && unfitting.get(v)).find(Boolean);
    if (because) kept.push({node: node.name, operator: node.opType, because});
    writer.node(node, because || last.has(node) || float32Only.has(node.opType) ? 'float32' : 'float16');
  }
  const graph = writer.finish();
  const casts = graph.nodes.filter(({opType}) => opType === 'Cast').length;
  return {model: {...original, graph, metadata: new Map(original.metadata)}, kept, casts};
}

/** One value of the original in up to two types. Numbers that are no floats have one. */
type Copies = Map<Float | 'as it is', Value>;

class HalfWriter {
  private readonly graph: Graph;
  private readonly copies = new Map<Value, Copies>();

  constructor(
    private readonly original: Graph,
    private readonly io: Float,
    private readonly unfitting: ReadonlyMap<Value, UnfitValue>,
  ) {
    this.graph = new Graph(original.name);
    for (const input of original.inputs) {
      const type = input.dtype === 'float32' ? io : 'as it is';
      const dtype = input.dtype === 'float32' ? io : input.dtype;
      this.copies.set(input, new Map([[type, this.graph.input(input.name, dtype, input.shape)]]));
    }
  }

  node(node: Node, wanted: Float): void {
    const type: Float = wanted === 'float16' && givesHalf(node) ? 'float16' : 'float32';
    const inputs = node.inputs.map((v) => v && this.get(v, type));
    const types = node.outputs.map(({dtype, shape}) => ({dtype: dtype === 'float32' ? type : dtype, shape}));
    const attributes = typedAttributes(node, type);
    const copy = this.graph.addNode(node.opType, inputs, attributes, {name: node.name, outputs: node.outputs.length, types});
    for (const [i, output] of node.outputs.entries()) {
      const made = copy.outputs[i]!;
      if (made.name !== output.name && !this.graph.value(output.name)) this.graph.rename(made, output.name);
      this.copies.set(output, new Map([[output.dtype === 'float32' ? type : 'as it is', made]]));
    }
  }

  finish(): Graph {
    this.graph.outputs = this.original.outputs.map((output) => {
      const value = this.get(output, this.io);
      if (value.name !== output.name) this.graph.takeName(value, this.graph.value(output.name)!);
      return value;
    });
    this.graph.prune();
    this.shortenNames();
    return this.graph;
  }

  /** Nodes keep their names. Values that are called after them need none of their own: in a transformer that is a third of all names. */
  private shortenNames(): void {
    const given = new Set([...this.graph.inputs, ...this.graph.outputs]);
    let next = 0;
    for (const node of this.graph.nodes) {
      for (const value of node.outputs) {
        const isNamedAfterNode = value.name.startsWith(node.name);
        if (!isNamedAfterNode || value.dtype !== 'float16' || given.has(value)) continue;
        while (this.graph.value(String(next))) next++;
        this.graph.rename(value, String(next++));
      }
    }
  }

  /** The value in the type that is asked for; made once. */
  private get(value: Value, type: Float): Value {
    const copies = this.copies.get(value) ?? new Map();
    this.copies.set(value, copies);
    if (value.dtype !== 'float32') {
      const same = copies.get('as it is') ?? this.graph.initializer(value.name, value.initializer!);
      copies.set('as it is', same);
      return same;
    }
    const found = copies.get(type) ?? (value.initializer ? this.constant(value, copies, type) : this.cast(value, copies, type));
    copies.set(type, found);
    return found;
  }

  /** For a node in float32 too a large constant is stored in half the bytes, if it fits: runtimes cast it once, when they load it. */
  private constant(value: Value, copies: Copies, type: Float): Value {
    const {name, initializer} = value;
    const stored = initializer!;
    if (type === 'float32') {
      if (this.unfitting.has(value) || elementCount(stored.shape) < MIN_STORED_HALF)
        return this.graph.initializer(name, stored);
      copies.set('float16', this.get(value, 'float16'));
      return this.cast(value, copies, 'float32');
    }
    const read = (): Tensor<'float16'> =>
      tensor('float16', stored.shape, float32ToHalf(toFloat32(stored.read()).data) as Uint16Array<ArrayBuffer>);
    return this.graph.initializer(name, {dtype: 'float16', shape: stored.shape, read});
  }

  private cast(value: Value, copies: Copies, to: Float): Value {
    const from = copies.get(to === 'float16' ? 'float32' : 'float16')!;
    const types = [{dtype: to, shape: value.shape}];
    return this.graph.node('Cast', [from], {to: dataTypeOf(to)}, {name: `${value.name}.${to}`, types}).output;
  }
}

/** Whether float16 comes out where float16 goes in: not of an operator whose type is set otherwise, as ConstantOfShape's. */
function givesHalf(node: Node): boolean {
  const inputs = node.inputs.map((v) => v && (v.dtype === 'float32' ? new Value(v.name, 'float16', v.shape) : v));
  const half = new Node(node.name, node.opType, node.domain, inputs, typedAttributes(node, 'float16'));
  const types = typesOfOutputs(half, node.outputs.length);
  return node.outputs.every(({dtype}, i) => types[i] === (dtype === 'float32' ? 'float16' : dtype));
}

const each = (wanted: number) => (numbers: readonly number[]) => numbers.every((n) => n === wanted);
/** What a convolution is taken to have where it does not say (https://onnx.ai/onnx/operators/onnx__Conv.html). */
const isDefault: Readonly<Record<string, (numbers: readonly number[]) => boolean>> = {
  kernel_shape: () => true, // the filter's own
  strides: each(1),
  dilations: each(1),
  pads: each(0),
  group: each(1),
};

/** A cast to float32 becomes one to float16; what says nothing is left out: it takes more bytes than a narrow layer's bias. */
function typedAttributes({opType, attributes}: Node, type: Float): ReadonlyMap<string, Attribute> {
  if (opType === 'Conv')
    return new Map([...attributes].filter(([name, {value}]) => !isDefault[name]?.([value].flat().map(Number))));
  const to = attributes.get('to');
  if (opType !== 'Cast' || to?.value !== dataTypeOf('float32')) return attributes;
  return new Map([...attributes, ['to', {kind: 'int', value: dataTypeOf(type)}]]);
}
