/** How a model takes images: the order of the dimensions, the type, the size, and whether they are prepared. Read from the graph, nothing is run. */
import {GpdError} from '../core/error.js';
import {formatShape} from '../core/tensor.js';
import {type Recipe, recipes} from '../data/recipe.js';
import {readGpd} from '../onnx/gpd-metadata.js';
import type {Dim, Model, Value} from '../onnx/graph.js';
import {checkBatch} from './batch-limit.js';

/** What bytes became on their way into a batch: undone for a model that takes bytes. */
export type ImageNormalisation = Pick<Recipe, 'mean' | 'std' | 'order'>;

export interface ImageInput {
  name: string;
  /** Pixels a side. */
  side: number;
  /** The model takes other sizes too: where `side` is from. Undefined: it takes this one alone. */
  anySize: 'asked' | 'guessed' | undefined;
  /** Undefined: any. */
  batch: number | undefined;
  dtype: 'float32' | 'float16' | 'float64' | 'uint8';
  layout: 'NCHW' | 'NHWC';
  /** 'pixels': bytes of the network's size. 'photographs': bytes [N, H, W, 3] of any size, which the model prepares itself for a network of that side. */
  takes: 'prepared' | 'pixels' | 'photographs';
  /** Of the batches that are made for it. */
  normalised: ImageNormalisation;
}

/** ImageNet's crop: the size of most networks that do not say theirs. */
export const USUAL_SIDE = 224;

function refuse(path: string, problem: string, hint: string): never {
  throw new GpdError('SHAPE_MISMATCH', `${path}: ${problem}`, {at: path, hint});
}

/** Pixels a side that a network behind its own preparation takes, as `gpd export` writes it into the metadata. */
function preparedSide({metadata}: Model): number | undefined {
  const side = readGpd(metadata, 'preprocessing')?.['side'];
  return typeof side === 'number' ? side : undefined;
}

/** What leaves every pixel in its place. */
const PIXELWISE =
  /^(Cast|Identity|Sub|Mul|Div|Add|Clip|Neg|Pow|QuantizeLinear|DequantizeLinear|DynamicQuantizeLinear|BatchNormalization|Gather)$/;
const LAST_TO_SECOND = '0,3,1,2';

/** Where the shape leaves it open: what the graph does to the images first. */
function layoutByUse(images: Value): ImageInput['layout'] {
  const waiting = [images];
  const seen = new Set(waiting);
  for (let value = waiting.pop(); value; value = waiting.pop()) {
    for (const node of value.users) {
      const {opType, attributes} = node;
      if (opType === 'Transpose' && String(attributes.get('perm')?.value) === LAST_TO_SECOND) return 'NHWC';
      if (opType === 'Conv') return 'NCHW';
      if (!PIXELWISE.test(opType) || seen.has(node.output)) continue;
      seen.add(node.output);
      waiting.push(node.output);
    }
  }
  return 'NCHW';
}

interface Places {
  layout: ImageInput['layout'];
  channels: Dim;
  sides: readonly [height: Dim, width: Dim];
}

function placesOf(images: Value): Places | undefined {
  if (images.shape && images.shape.length !== 4) return undefined;
  const [, second = 'C', third = 'H', last = 'W'] = images.shape ?? [];
  const colours = [second, last].map((d) => d === 3);
  const layout = colours[0] ? 'NCHW' : colours[1] ? 'NHWC' : layoutByUse(images);
  return layout === 'NCHW'
    ? {layout, channels: second, sides: [third, last]}
    : {layout, channels: last, sides: [second, third]};
}

/** Exporters that do not know a dimension write a name or -1; a batch also as 0. */
const fixed = (dim: Dim): number | undefined => (typeof dim === 'number' && dim > 0 ? dim : undefined);

const TYPES = ['float32', 'float16', 'float64', 'uint8'] as const;
const isType = (dtype: string): dtype is ImageInput['dtype'] => (TYPES as readonly string[]).includes(dtype);

const DESCRIBED = 'images are given as [N, 3, S, S] or [N, S, S, 3], as float32, float16, float64 or uint8';

/** Throws SHAPE_MISMATCH for what is no batch of square colour images. `asked`: pixels a side for a model that takes any. */
export function imageInputOf(path: string, model: Model, asked?: number): ImageInput {
  const images = onlyInput(path, model);
  const {name, dtype, shape} = images;
  const found = `input '${name}' is ${dtype}${shape ? formatShape(shape) : ''}`;
  const places = placesOf(images);
  if (!places || !isType(dtype)) return refuse(path, found, DESCRIBED);
  const {layout, channels, sides} = places;
  if (fixed(channels) !== undefined && channels !== 3)
    refuse(
      path,
      `${found}: images of ${channels} channel${channels === 1 ? '' : 's'}`,
      'images are read in three colours: give a network for these; gpd convert and inspect take others too',
    );
  if (sides.includes(0)) refuse(path, `${found}: images of no pixels`, DESCRIBED);
  const [height, width] = sides.map(fixed);
  if (height !== undefined && width !== undefined && height !== width)
    refuse(path, `${found}: ${height}x${width}`, 'networks of square images are evaluated here');
  const own = height ?? width;
  const prepared = dtype === 'uint8' && layout === 'NHWC' && own === undefined ? preparedSide(model) : undefined;
  const side = prepared ?? own ?? asked ?? USUAL_SIDE;
  const anySize = prepared !== undefined || own !== undefined ? undefined : asked === undefined ? 'guessed' : 'asked';
  const takes = prepared !== undefined ? 'photographs' : dtype === 'uint8' ? 'pixels' : 'prepared';
  const batch = fixed(shape?.[0] ?? 'N');
  checkBatch(batch ?? 1, side, path);
  return {name, side, anySize, batch, dtype, layout, takes, normalised: recipes.cnn(side)};
}

function onlyInput(path: string, {graph: {inputs}}: Model): Value {
  if (inputs.length === 1) return inputs[0]!;
  const listed = inputs.map(({name, dtype, shape}) => `'${name}' ${dtype}${shape ? formatShape(shape) : ''}`).join(', ');
  const problem = inputs.length === 0 ? 'has no input' : `has ${inputs.length} inputs: ${listed}`;
  return refuse(path, problem, 'one input is expected, the images: export the model with the others as constants');
}

/** The shape of a batch of so many images. */
export const shapeOf = ({layout, side}: Pick<ImageInput, 'layout' | 'side'>, images: number): number[] =>
  layout === 'NCHW' ? [images, 3, side, side] : [images, side, side, 3];

const EMPTY_BATCH = 'the model says that it takes 0 images at a time: any number is meant, and run';

/** A batch of 0 becomes any. Gives the sentence for people where it was so: the file itself would be refused by the runtime. */
export function withoutEmptyBatch({graph}: Model): string | undefined {
  const images = graph.inputs[0];
  if (images?.shape?.[0] !== 0) return undefined;
  for (const value of graph.allValues())
    if (!value.initializer && value.shape?.[0] === 0) value.shape = ['N', ...value.shape.slice(1)];
  return EMPTY_BATCH;
}
