/**
 * Bias correction: rounding weights and activations moves the mean of each output channel, which the next layers take for signal. What
 * each layer's own rounding does to its means over real images is taken off its bias. After Nagel et al. 2019, arXiv 1906.04721,
 * section 4.2, measured instead of derived.
 *
 * Each layer gets the float32 network's activations: then one run measures all of them. Measuring behind the layers that are rounded
 * already, all at once, counts an error once for each layer after it, and diverges.
 */

import {cloneModel} from '../../onnx/clone-model.js';
import type {Graph, Model, Value} from '../../onnx/graph.js';
import {type QuantParameters, quantiseWeight, type WeightRange} from './affine.js';
import type {Numbers} from './emit.js';
import {type Batches, channelMeans} from './observe.js';
import {type Selection, takesBias, type Unit} from './plan.js';
import {quantTensors, roundTrip, stored} from './qdq.js';

export async function correctBiases(
  model: Model,
  selection: Selection,
  {affine, weightRange: range}: Pick<Numbers, 'affine' | 'weightRange'>,
  batches: Batches,
): Promise<Map<Unit, Float64Array>> {
  const copy = cloneModel(model);
  const units = [...selection.units].filter(takesBias);
  const affineOf = ([input]: readonly Value[]) => affine.get(selection.sameScale.get(input!) ?? input!)!;
  const rounded = units.map((unit) => roundedLayer(copy.graph, unit, affineOf(unit.inputs), range));
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
function roundedLayer(
  graph: Graph,
  {node, inputs, weight}: Unit,
  affine: QuantParameters,
  range: WeightRange | undefined,
): Value {
  const name = (suffix: string) => graph.uniqueName(`${node.name}.rounded.${suffix}`);
  const {value, axis, bias} = weight!;
  const parameters = quantTensors(affine).map((t) => graph.initializer(name('parameter'), t));
  const x = roundTrip(graph, graph.value(inputs[0]!.name)!, parameters, name);
  const w = stored(graph, quantiseWeight(value.initializer.read(), axis, {inputScale: affine.scale, range}), name);
  return graph.addNode(node.opType, [x, w, bias && graph.value(bias.name)], node.attributes, {name: name('output')}).output;
}

function biasOf({weight}: Unit): Float64Array {
  const {value, axis, bias} = weight!;
  const channels = value.initializer.shape[axis]!;
  return bias ? Float64Array.from(bias.initializer.read().data as Float32Array) : new Float64Array(channels);
}
