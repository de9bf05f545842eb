/** Images on which two forms of a network are compared: seeded noise, and the edges where a wrong fusion shows. */
import {fillUniform} from '../core/random.js';
import {float32, type Tensor} from '../core/tensor.js';

export interface Probes {
  /** [P, C, S, S], in the range of normalised images. */
  images: Tensor<'float32'>;
  /** What each image is. */
  names: readonly string[];
}

type Fill = (image: Float32Array, side: number, seed: string) => void;

/** Uniform noise of a standard deviation; normalised photographs have about 1. */
const noise =
  (deviation: number): Fill =>
  (image, _, seed) =>
    fillUniform(image, seed, -Math.sqrt(3) * deviation, Math.sqrt(3) * deviation);
/** One bright pixel in each colour: at the border, where padding matters, and in the middle. */
const pixel =
  (at: (side: number) => number): Fill =>
  (image, side) => {
    const position = at(side);
    for (let plane = 0; plane < image.length; plane += side * side) image[plane + position] = 10;
  };

const kinds: readonly [name: string, fill: Fill][] = [
  ['noise', noise(1)],
  ['noise', noise(1)],
  ['zeros', () => {}],
  ['large', noise(100)],
  ['corner pixel', pixel(() => 0)],
  ['middle pixel', pixel((side) => (side >> 1) * side + (side >> 1))],
];

export function makeProbes(side: number, seed: number, channels = 3): Probes {
  const size = channels * side * side;
  const images = new Float32Array(kinds.length * size);
  for (const [i, [, fill]] of kinds.entries()) fill(images.subarray(i * size, (i + 1) * size), side, `${seed}/probe/${i}`);
  return {images: float32([kinds.length, channels, side, side], images), names: kinds.map(([name]) => name)};
}
