/** The preparation of images as part of the network: bytes of any size in, logits out. */
import {GpdError} from '../../core/error.js';
import type {Recipe} from '../../data/recipe.js';
import {cloneModel} from '../../onnx/clone-model.js';
import {copyNodes, typedOutputs} from '../../onnx/copy-nodes.js';
import {Graph, type Model, type Value} from '../../onnx/graph.js';
import {type Folding, foldNormalisation, type Normalisation} from './fold-normalisation.js';
import {Nodes} from './nodes.js';
import {type ResizeGeometry, type Resizer, type ResizerName, resizers} from './resize.js';

export interface EmbedOptions {
  readonly recipe: Recipe;
  readonly resizer: ResizerName;
}
export interface Embedded {
  readonly model: Model;
  readonly notes: readonly string[];
  readonly details: {resizer: ResizerName; geometry: ResizeGeometry; normalisation: Folding};
}

/** Name of the new input: uint8[N, H, W, 3]. */
export const PHOTOGRAPH = 'image';
const PREFIX = 'prepare';

const refuse = (problem: string, hint: string): GpdError =>
  new GpdError('EXPORT_REFUSED', `preprocessing inside: ${problem}`, {hint});

/** Where images are shown as they are, those of other sizes are fitted; those of the right size stay the same to the bit. */
function geometryOf({resize, crop, interpolation}: Recipe, side: number): ResizeGeometry {
  const geometry = {resize: resize ?? side, crop: crop ?? side, filter: interpolation};
  if (geometry.crop !== side)
    throw refuse(`the recipe makes ${geometry.crop} px, the network takes ${side}`, 'choose another recipe');
  if (geometry.resize < side)
    throw refuse(`a short side of ${geometry.resize} px has no room for a crop of ${side}`, 'resize to more');
  return geometry;
}

/** Leaves `original` as it is. Throws EXPORT_REFUSED where the network does not take float images of one size, or its opset is too old. */
export function embedPreprocessing(original: Model, {recipe, resizer}: EmbedOptions): Embedded {
  const model = cloneModel(original);
  const images = model.graph.inputs[0]!;
  const [batch, , , side] = images.shape ?? [];
  const isFloat = images.dtype === 'float32' || images.dtype === 'float16';
  if (model.graph.inputs.length !== 1 || !isFloat || typeof side !== 'number')
    throw refuse(`${images} is not one batch of float images of a fixed size`, 'give a student as gpd convert writes it');
  const {since, write, description}: Resizer = resizers[resizer];
  if (model.opset < since)
    throw refuse(`${resizer} needs opset ${since}, the model has ${model.opset}`, 'use the matrices, or a newer opset');
  const geometry = geometryOf(recipe, side);
  const ordered = <T>(values: readonly T[]) => (recipe.order === 'bgr' ? values.toReversed() : values);
  const normalisation = {mean: ordered(recipe.mean).map((m) => 255 * m), std: ordered(recipe.std).map((s) => 255 * s)};
  const folding = foldNormalisation(model, normalisation);
  const graph = new Graph(model.graph.name);
  const photograph = graph.input(PHOTOGRAPH, 'uint8', [batch!, 'H', 'W', 3]);
  const nodes = new Nodes(graph, PREFIX);
  const pixels = nodes.reshape(write(nodes, photograph, geometry), [batch!, 3, side, side]);
  const inOrder = recipe.order === 'bgr' ? nodes.permuted(pixels, [2, 1, 0], 1) : pixels;
  const prepared = normalise(nodes, inOrder, normalisation, folding);
  append(graph, model, images.dtype === 'float16' ? nodes.cast(prepared, 'float16') : prepared);
  const notes = [`${PHOTOGRAPH}: bytes [N, H, W, 3] of any size; resized by ${description}`, folding.because];
  return {model: {...model, graph}, notes, details: {resizer, geometry, normalisation: folding}};
}

/** What is not folded. */
function normalise(n: Nodes, pixels: Value, {mean, std}: Normalisation, {subtraction, division}: Folding): Value {
  const perColour = (name: string, values: readonly number[]) => n.float32(name, [1, 3, 1, 1], values);
  const centred = subtraction === 'node' ? n.elementwise('Sub', [pixels, perColour('mean', mean)]) : pixels;
  return division === 'node' ? n.elementwise('Div', [centred, perColour('std', std)]) : centred;
}

/** The network behind what prepares its images. */
function append(graph: Graph, {graph: network}: Model, images: Value): void {
  const copies = new Map<Value, Value>([[network.inputs[0]!, images]]);
  for (const constant of network.initializers) copies.set(constant, graph.initializer(constant.name, constant.initializer!));
  copyNodes(network.nodes, graph, copies, typedOutputs);
  graph.outputs = network.outputs.map((output) => copies.get(output)!);
  for (const output of network.outputs)
    if (copies.get(output)!.name !== output.name) graph.rename(copies.get(output)!, output.name);
  graph.prune();
}
