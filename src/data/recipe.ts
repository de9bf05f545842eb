/** How an image becomes a network's input: the table of recipes. Each family of networks names its own. */
import type {FilterName} from './coefficients.js';

export interface Recipe {
  /** The short side after resizing; undefined: as it is. */
  readonly resize: number | undefined;
  readonly interpolation: FilterName;
  /** Side of the square cut from the middle; undefined: no crop. */
  readonly crop: number | undefined;
  readonly mean: readonly [number, number, number]; // of x / 255
  readonly std: readonly [number, number, number];
  /** Of the planes; `mean` and `std` are of red, green and blue in any case. Default `rgb`. */
  readonly order?: ColourOrder;
}
/** As Caffe and OpenCV have them: `bgr`. */
export type ColourOrder = 'rgb' | 'bgr';

/** ImageNet's, used for CIFAR too by the networks read here. */
const normalise = {mean: [0.485, 0.456, 0.406], std: [0.229, 0.224, 0.225]} as const;
/** The published ratio, 256 to 224, rounded down as the training code does for other sizes: int(256 / 224 · size). */
const shortSide = (size: number) => Math.floor((256 * size) / 224);

/** Image size → recipe. `cnn`: torchvision's evaluation transform; `rvt`: timm's; `cifar`: the pixels as they are. */
export const recipes = {
  cnn: (size: number): Recipe => ({resize: shortSide(size), interpolation: 'bilinear', crop: size, ...normalise}),
  rvt: (size: number): Recipe => ({resize: shortSide(size), interpolation: 'bicubic', crop: size, ...normalise}),
  cifar: (_size: number): Recipe => ({resize: undefined, interpolation: 'bilinear', crop: undefined, ...normalise}),
} as const;
export type RecipeName = keyof typeof recipes;
