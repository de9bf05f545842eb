/**
 * Bias correction: rounding weights and activations moves the mean of each output channel, which the next layers take for signal. What
 * each layer's own rounding does to its means over real images is taken off its bias. After Nagel et al. 2019, arXiv 1906.04721,
 * section 4.2, measured instead of derived.
 *
 * Each layer gets the float32 network's activations: then one run measures all of them. Measuring behind the layers that are rounded
 * already, all at once, counts an error once for each layer after it, and diverges.
 */
import {tensor} from '../../core/tensor.js';
import type {Graph, Model, Value} from '../../onnx/graph.js';
import {cloneModel} from '../clone.js';
import {type Affine, dequantise, forEachInChannel, quantiseWeight} from './affine.js';
import type {Numbers} from './emit.js';
import {type Batches, channelMeans} from './observe.js';
import type {Selection, Unit} from './plan.js';

export async function correctBiases(
  model: Model,
  selection: Selection,
  affine: Numbers['affine'],
  batches: Batches,
): Promise<Map<Unit, Float64Array>> {
  const copy = cloneModel(model);
  const units = [...selection.units].filter((unit) => unit.weight);
  const rounded = units.map((unit) =>
    roundedLayer(copy.graph, unit, affine.get(selection.sameScale.get(unit.inputs[0]!) ?? unit.inputs[0]!)!),
  );
  copy.graph.outputs = [...copy.graph.outputs, ...rounded];
  const names = units.map(({node}) => node.output.name);
  const means = await channelMeans(copy, [...names, ...rounded.map((v) => v.name)], batches);
  return new Map(
    units.map((unit, i) => {
      const [want, have] = [means.get(names[i]!)!, means.get(rounded[i]!.name)!];
      return [unit, biasOf(unit).map((b, c) => b + want[c]! - have[c]!)];
    }),
  );
}

/** The layer on rounded input and weights, beside the layer itself. */
function roundedLayer(graph: Graph, {node, inputs, weight}: Unit, affine: Affine): Value {
  const name = `${node.name}.rounded`;
  const constant = (
    key: string,
    data: Float32Array<ArrayBuffer> | Uint8Array<ArrayBuffer> | Int8Array<ArrayBuffer>,
    dtype: 'float32' | 'uint8' | 'int8',
    shape: readonly number[],
  ) => graph.initializer(`${name}.${key}`, tensor(dtype, shape, data as never));
  const scale = constant('scale', Float32Array.of(affine.scale), 'float32', []);
  const zero = constant(
    'zero',
    affine.dtype === 'uint8' ? Uint8Array.of(affine.zeroPoint) : Int8Array.of(affine.zeroPoint),
    affine.dtype,
    [],
  );
  const x = graph.value(inputs[0]!.name)!;
  const q = graph.op('QuantizeLinear', [x, scale, zero], {}, {name: `${name}.q`});
  const input = graph.op('DequantizeLinear', [q, scale, zero], {}, {name: `${name}.dq`});
  const {values, scales, axis} = quantiseWeight(weight!.value.initializer.read(), weight!.axis, affine.scale);
  const back = new Float32Array(values.data.length);
  forEachInChannel(values.shape, axis, (i, c) => {
    back[i] = Math.fround(values.data[i]! * scales.data[c]!);
  });
  const w = constant('weight', back, 'float32', values.shape);
  const bias = weight!.bias && graph.value(weight!.bias.name);
  return graph.addNode(node.opType, [x && input, w, bias], node.attributes, {name}).output;
}
void dequantise;

function biasOf({weight}: Unit): Float64Array {
  const {value, axis, bias} = weight!;
  const channels = value.initializer.shape[axis]!;
  return bias ? Float64Array.from(bias.initializer.read().data as Float32Array) : new Float64Array(channels);
}
