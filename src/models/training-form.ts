/**
 * The training form as an ONNX model: the network as it was trained, with branches, slices and statistics as nodes on the
 * tensors of the checkpoint. From it everything else is made by rewriting, and against it everything is proven.
 */

import {GpdError} from '../core/error.js';
import {overflowOf, type StateDict, type Tensor, type TensorSource, toFloat32} from '../core/tensor.js';
import {producer} from '../core/version.js';
import {gpdEntries} from '../onnx/gpd-metadata.js';
import {Graph, type Model, type Value} from '../onnx/graph.js';
import {lowerForOpset} from '../onnx/passes/lower.js';
import {graphOps, leadingSlice} from '../onnx/tensor-ops.js';
import {type GpdForm, type LayerParameters, parametersOf, type Role, type TensorUse} from '../reparam/parameters.js';
import {type Architecture, channelsOf} from './layers.js';
import {onnxLayers} from './onnx-layers.js';
import {Walk} from './walk.js';

export interface TrainingFormOptions {
  role: Role;
  imageSize: number;
  opset: number;
  /** Fixed, or dynamic (the dimension is then called N). */
  batch?: number | undefined;
  inputName?: string;
  outputName?: string;
}

/** The ONNX IR version that came with an opset: https://github.com/onnx/onnx/blob/main/docs/Versioning.md. */
export const irVersionOf = (opset: number): number =>
  opset >= 25 ? 12 : opset >= 23 ? 11 : opset >= 21 ? 10 : opset >= 19 ? 9 : opset >= 15 ? 8 : 7;

/** Every weight is used in float32, whatever the checkpoint stores; half types are exact in it. */
const inFloat32 = (source: TensorSource, name: string): TensorSource => ({
  name,
  dtype: 'float32',
  shape: source.shape,
  read: (leading) => narrowed(name, source.read(leading)),
});

/** Throws WEIGHTS_NOT_FINITE for a float64 number beyond float32. */
function narrowed(name: string, t: Tensor): Tensor<'float32'> {
  const overflow = overflowOf(t);
  if (!overflow) return toFloat32(t);
  const {value, index} = overflow;
  throw new GpdError('WEIGHTS_NOT_FINITE', `'${name}' has ${value} at element ${index}, which does not fit into float32`, {
    at: name,
    hint: 'networks run in float32, up to 3.4e38: is this tensor a weight of the network?',
  });
}

/** The leading block of a stored tensor. */
export function tensorLoader(graph: Graph, stateDict: StateDict): (use: TensorUse) => Value {
  return ({key, leading}) => {
    const source = stateDict.get(key);
    if (!source) throw new Error(`the state dict has no '${key}'`);
    const stored = graph.value(key) ?? graph.initializer(key, inFloat32(source, key));
    return leadingSlice(graph, stored, leading, `${key}/Slice`);
  };
}

/** Names the nodes of a layer's expressions after the layer. */
function scoped(parameters: LayerParameters<Value>, enter: (name: string) => void): LayerParameters<Value> {
  const named =
    <M extends {name: string}, R>(make: (m: M) => R) =>
    (m: M): R => {
      enter(m.name);
      return make(m);
    };
  return {
    ...parameters,
    conv: named(parameters.conv),
    linear: named(parameters.linear),
    batchNorm: named(parameters.batchNorm),
    layerNorm: named(parameters.layerNorm),
  };
}

export function trainingForm(arch: Architecture, stateDict: StateDict, form: GpdForm, options: TrainingFormOptions): Model {
  const {role, imageSize, opset} = options;
  const graph = new Graph(`${arch.name}_${role}`);
  let scope = '';
  const base = parametersOf(
    graphOps(graph, () => scope),
    form,
    role,
    tensorLoader(graph, stateDict),
  );
  const parameters = scoped(base, (name) => {
    scope = name;
  });
  const image = graph.input(options.inputName ?? 'input', 'float32', [
    options.batch ?? 'N',
    channelsOf(arch),
    imageSize,
    imageSize,
  ]);
  const logits = new Walk(arch, onnxLayers(graph, opset), parameters).run(image, imageSize);
  graph.outputs = [logits];
  graph.rename(logits, options.outputName ?? 'logits');
  graph.prune();
  const model: Model = {
    graph,
    opset,
    domains: new Map(),
    irVersion: irVersionOf(opset),
    producer,
    metadata: new Map(gpdEntries({normalisation: arch.normalisation})),
  };
  lowerForOpset(model);
  return model;
}
