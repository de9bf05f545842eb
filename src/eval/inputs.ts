/** Images on which two models are compared: seeded noise, and the edges where a wrong fusion, padding or overflow shows. */
import {fillUniform, random} from '../core/random.js';
import {float32, type Tensor} from '../core/tensor.js';
import {checkBatch} from './batch-limit.js';
import type {ImageNormalisation} from './image-input.js';
import {pixelsOf} from './logits.js';

/** A group of images with a name for tables. */
export interface InputGroup {
  kind: string;
  /** [n, 3, S, S], normalised. */
  images: Tensor<'float32'>;
  /** What each image is, for messages. */
  names: readonly string[];
}

/** Writes one image of 3 × side × side numbers. */
type Fill = (image: Float32Array, side: number, seed: string) => void;

/** One bright pixel in every colour. */
const pixel =
  (at: (side: number) => number): Fill =>
  (image, side) => {
    for (let c = 0; c < 3; c++) image[c * side * side + at(side)] = 10;
  };
const constant =
  (value: number): Fill =>
  (image) =>
    image.fill(value);
/** Uniform noise of a standard deviation; normalised photographs have about 1. */
const uniform =
  (deviation: number): Fill =>
  (image, _, seed) =>
    fillUniform(image, seed, -Math.sqrt(3) * deviation, Math.sqrt(3) * deviation);
const normal: Fill = (image, _, seed) => {
  const {normal: next} = random(seed);
  for (let i = 0; i < image.length; i++) image[i] = next();
};
const checkerboard: Fill = (image, side) => {
  for (let i = 0; i < image.length; i++) image[i] = (Math.floor(i / side) + i) % 2 ? 2 : -2;
};
const oneColour: Fill = (image, side) => image.subarray(0, side * side).fill(2);

/** THE table of edges. */
const edges: readonly [name: string, fill: Fill][] = [
  ['zeros', constant(0)],
  ['black', constant(-2)],
  ['white', constant(2.5)],
  ['one colour', oneColour],
  ['checkerboard', checkerboard],
  ['corner pixel', pixel(() => 0)],
  ['opposite corner', pixel((side) => side * side - 1)],
  ['middle pixel', pixel((side) => (side >> 1) * side + (side >> 1))],
  ['tiny numbers', uniform(1e-4)],
  ['large numbers', uniform(100)],
];

function groupOf(kind: string, side: number, seed: string, fills: readonly [name: string, fill: Fill][]): InputGroup {
  checkBatch(fills.length, side, `${kind} images`);
  const size = 3 * side * side;
  const data = new Float32Array(fills.length * size);
  for (const [i, [, fill]] of fills.entries()) fill(data.subarray(i * size, (i + 1) * size), side, `${seed}/${kind}/${i}`);
  return {kind, images: float32([fills.length, 3, side, side], data), names: fills.map(([name]) => name)};
}

export const edgeInputs = (side: number, seed: number): InputGroup => groupOf('edge', side, String(seed), edges);

/** Uniform and normal noise in turn, `batch` images at a time. */
export function* randomInputs(side: number, seed: number, count: number, batch: number): Generator<InputGroup> {
  for (let start = 0; start < count; start += batch) {
    const fills = Array.from({length: Math.min(batch, count - start)}, (_, i): [string, Fill] =>
      i % 2 ? [`normal noise ${start + i}`, normal] : [`uniform noise ${start + i}`, uniform(1)],
    );
    yield groupOf('random', side, `${seed}/${start}`, fills);
  }
}

/** The nearest images that bytes can show: what a model that takes bytes can be compared on. */
export function roundedToBytes({images, ...group}: InputGroup, normalised: ImageNormalisation): InputGroup {
  const [, , height, width] = images.shape as [number, number, number, number];
  const plane = height * width;
  const {mean, std, order} = normalised;
  const data = pixelsOf(images.data, normalised, plane).map((pixel, i) => {
    const place = Math.floor(i / plane) % 3;
    const colour = order === 'bgr' ? 2 - place : place;
    return (pixel - 255 * mean[colour]!) / (255 * std[colour]!);
  });
  return {...group, images: float32(images.shape, data)};
}
