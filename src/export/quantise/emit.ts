/**
 * The quantised model: every activation that is an integer goes through QuantizeLinear and DequantizeLinear, weights and biases are
 * stored as integers before a DequantizeLinear, and the nodes between stay what they were. Runtimes fuse each group into one integer
 * kernel; one that does not computes the same in float32.
 */
import {float32, type Tensor, tensor} from '../../core/tensor.js';
import {copyAttributes, sameOutputs} from '../../onnx/copy-nodes.js';
import {Graph, type Model, type Node, type Value} from '../../onnx/graph.js';
import {intervalOf, type QuantParameters, quantiseBias, quantiseWeight, type WeightRange} from './affine.js';
import type {Selection, Unit} from './plan.js';
import {quantTensors, roundTrip, stored} from './qdq.js';

/** `int32`: with the scale of what it is added to, behind a DequantizeLinear. `float32`: as it is. */
export type BiasType = 'int32' | 'float32';

export interface Numbers {
  /** Scale and zero point of each quantised activation that has its own. */
  readonly affine: ReadonlyMap<Value, QuantParameters>;
  /** Biases that were corrected, by their unit. Also for units that had none. */
  readonly biases: ReadonlyMap<Unit, Float64Array>;
  /** Default int32. */
  readonly biasType?: BiasType | undefined;
  readonly weightRange?: WeightRange | undefined;
}

export function emitQuantised(model: Model, selection: Selection, numbers: Numbers): Model {
  const graph = new Emitter(model.graph, selection, numbers).run();
  return {...model, graph, metadata: new Map(model.metadata)};
}

class Emitter {
  private readonly graph: Graph;
  /** Float values of the original → what stands for them. */
  private readonly floats = new Map<Value, Value>();
  private readonly unitOf = new Map<Node, Unit>();
  private readonly absorbed = new Set<Node>();
  private readonly shared = new Map<string, Value>();
  private readonly reserved = new Set<string>();

  constructor(
    private readonly original: Graph,
    private readonly selection: Selection,
    private readonly numbers: Numbers,
  ) {
    this.graph = new Graph(original.name);
    for (const node of original.nodes) for (const {name} of [node, ...node.outputs]) this.reserved.add(name);
    for (const unit of selection.units) {
      this.unitOf.set(unit.node, unit);
      if (unit.activation) this.absorbed.add(unit.activation);
    }
  }

  run(): Graph {
    for (const {name, dtype, shape} of this.original.inputs) this.graph.input(name, dtype, shape);
    for (const input of this.original.inputs) this.define(input, this.graph.value(input.name)!);
    for (const node of this.original.nodes) {
      if (!this.absorbed.has(node)) this.emit(node);
    }
    this.graph.outputs = this.original.outputs.map((v) => this.graph.value(v.name)!);
    this.graph.prune();
    return this.graph;
  }

  private emit(node: Node): void {
    const unit = this.unitOf.get(node);
    const inputs = unit?.weight ? this.weightedInputs(unit, unit.weight) : node.inputs.map((v) => v && this.float(v));
    const copy = this.copy(node, inputs);
    for (const [i, output] of node.outputs.entries()) this.define(output, copy.outputs[i]!);
    if (unit?.activation) this.absorb(unit, copy);
  }

  /** The activation is left out where the range clips as it does; a symmetric one does not, nor is an output of the graph clipped. */
  private absorb({activation, output, bounds}: Unit, copy: Node): void {
    const affine = this.original.outputs.includes(output) ? undefined : this.affineOf(output);
    const clips = affine?.dtype === 'uint8' && clipsWithin(affine, bounds);
    const rest = activation!.inputs.slice(1).map((v) => v && this.float(v));
    this.define(output, clips ? copy.output : this.copy(activation!, [copy.output, ...rest]).output);
  }

  /** Under the same names. */
  private copy(node: Node, inputs: readonly (Value | undefined)[]): Node {
    const options = {name: node.name, domain: node.domain, ...sameOutputs(node, inputs)};
    return this.graph.addNode(node.opType, inputs, copyAttributes(node, this.floats), options);
  }

  /** From here on `value` is this; behind QuantizeLinear and DequantizeLinear, if it is to be an integer. */
  private define(value: Value, made: Value): void {
    const affine = this.affineOf(value);
    const quantised = this.selection.quantised.has(value) && affine;
    this.floats.set(value, quantised ? roundTrip(this.graph, made, this.parameters(affine), this.naming(value.name)) : made);
  }

  private affineOf(value: Value): QuantParameters | undefined {
    return this.numbers.affine.get(this.selection.sameScale.get(value) ?? value);
  }

  private float(value: Value): Value {
    const known = this.floats.get(value);
    if (known) return known;
    if (!value.initializer) throw new Error(`'${value.name}' is used before it is made`);
    const copy = this.graph.initializer(value.name, value.initializer);
    this.floats.set(value, copy);
    return copy;
  }

  private weightedInputs(unit: Unit, {value, axis, bias}: NonNullable<Unit['weight']>): (Value | undefined)[] {
    const x = unit.inputs[0]!;
    const {scale} = this.affineOf(x)!;
    const numbers = (this.numbers.biases.get(unit) ?? bias?.initializer.read().data) as ArrayLike<number> | undefined;
    const inFloat = this.numbers.biasType === 'float32';
    const weight = quantiseWeight(value.initializer.read(), axis, {
      inputScale: scale,
      bias: inFloat ? undefined : numbers,
      range: this.numbers.weightRange,
    });
    const zeros = this.zeros(weight.scales.data.length);
    const inputs = [this.float(x), stored(this.graph, {...weight, zeros}, this.naming(value.name))];
    if (!numbers) return inputs;
    const naming = this.naming(bias?.name ?? `${unit.node.name}.bias`);
    if (inFloat) return [...inputs, this.graph.initializer(naming(''), float32([numbers.length], numbers))];
    return [...inputs, stored(this.graph, {...quantiseBias(numbers, scale, weight.scales.data), axis: 0}, naming)];
  }

  /** Zero points of weights are 0 by default, but onnxruntime leaves a Gemm in float32 whose weight has none. */
  private zeros(channels: number): Value {
    const name = `zeros${channels}`;
    return this.constant(name, name, tensor('int8', [channels], new Int8Array(channels)));
  }

  /** Scale and zero point; equal ones are one initializer. */
  private parameters(affine: QuantParameters): [Value, Value] {
    const [scale, zeroPoint] = quantTensors(affine);
    const zeroName = `${affine.dtype}_${affine.zeroPoint}`.replace('-', 'm');
    return [this.constant(`s${affine.scale}`, 's', scale), this.constant(zeroName, zeroName, zeroPoint)];
  }

  private constant(key: string, name: string, numbers: Tensor): Value {
    const known = this.shared.get(key) ?? this.graph.initializer(this.fresh(name), numbers);
    this.shared.set(key, known);
    return known;
  }

  private naming(name: string): (suffix: string) => string {
    return (suffix) => this.fresh(suffix === '' ? name : `${name}.${suffix}`);
  }

  /** A name that is free here and will be: the original's values and nodes, of which some are still to come, keep theirs. */
  private fresh(wanted: string): string {
    const taken = (name: string) => this.reserved.has(name) || this.graph.value(name) !== undefined;
    for (let i = 0; ; i++) {
      const name = i === 0 ? wanted : `${wanted}_${i}`;
      if (!taken(name)) return name;
    }
  }
}

/** Whether clamping to the levels does what the activation does, up to the rounding of the scale to float32. */
function clipsWithin(affine: QuantParameters, bounds: Unit['bounds']): boolean {
  const {low, high} = intervalOf(affine);
  const rounding = 2 ** -23 * Math.max(-low, high);
  return low >= bounds.low - rounding && high <= bounds.high + rounding;
}
