/**
 * Resize and centre crop inside a graph, for photographs of any size: the short side becomes `resize` pixels, a square of `crop` is cut
 * from the middle. Two ways, one table.
 */
import type {FilterName} from '../../data/coefficients.js';
import {PRECISION_BITS} from '../../data/coefficients.js';
import type {Value} from '../../onnx/graph.js';
import type {Nodes} from './nodes.js';

export interface ResizeGeometry {
  /** The short side after resizing, in pixels; at least `crop`. */
  readonly resize: number;
  readonly crop: number;
  readonly filter: FilterName;
}

export interface Resizer {
  readonly description: string;
  /** The first opset that has what it needs. */
  readonly since: number;
  /** How far logits may move because pixels differ, relative to the largest. */
  readonly bound: number;
  /** Bytes [N, H, W, 3] → whole numbers from 0 to 255 [N, 3, crop, crop], as float32. */
  write(n: Nodes, image: Value, geometry: ResizeGeometry): Value;
}

/** One side of the photograph: its length, what it becomes, and where the crop starts in that. int64 scalars. */
interface Side {
  length: Value;
  resized: Value;
  from: Value;
}

/** torchvision's Resize and CenterCrop: int(resize · long / short), and half of the rest, rounded to even. */
function sidesOf(n: Nodes, image: Value, {resize, crop}: ResizeGeometry): {height: Side; width: Side} {
  const shape = n.op('Shape', [image], {}, 'int64');
  const [height, width] = [1, 2].map((axis) => n.op('Gather', [shape, n.int(axis)], {axis: 0})) as [Value, Value];
  const short = n.op('Min', [height, width]);
  const side = (length: Value): Side => {
    const resized = n.op('Div', [n.op('Mul', [length, n.int(resize)]), short]);
    return {length, resized, from: halfToEven(n, n.op('Sub', [resized, n.int(crop)]))};
  };
  return {height: side(height), width: side(width)};
}

/** x/2 for x ≥ 0, halves to even: q + (x mod 2)·(q mod 2) with q = ⌊x/2⌋. */
function halfToEven(n: Nodes, x: Value): Value {
  const half = n.op('Div', [x, n.int(2)]);
  const odd = (v: Value) => n.op('Mod', [v, n.int(2)]);
  return n.op('Add', [half, n.op('Mul', [odd(x), odd(half)])]);
}

const A = -0.5; // Pillow's cubic, as in data/coefficients.ts

/** x [crop, length], distances from the centre of an output pixel in units of the filter → weights before normalisation. */
const filters: Readonly<Record<FilterName, {support: number; weights(n: Nodes, x: Value): Value}>> = {
  bilinear: {
    support: 1,
    weights: (n, x) => n.op('Max', [n.op('Sub', [n.number(1), n.op('Abs', [x])]), n.number(0)]),
  },
  bicubic: {
    support: 2,
    weights(n, signed) {
      const x = n.op('Abs', [signed]);
      const times = (a: Value, b: Value) => n.op('Mul', [a, b]);
      const plus = (a: Value, b: number) => n.op('Add', [a, n.number(b)]);
      const inner = plus(times(times(plus(times(n.number(A + 2), x), -(A + 3)), x), x), 1);
      const outer = times(plus(times(plus(times(plus(x, -5), x), 8), x), -4), n.number(A));
      const beyond = n.op('Where', [n.op('Less', [x, n.number(2)], {}, 'bool'), outer, n.number(0)], {}, 'float64');
      return n.op('Where', [n.op('Less', [x, n.number(1)], {}, 'bool'), inner, beyond], {}, 'float64');
    },
  },
};

/**
 * Pillow's weights as a matrix [crop, length] of float64, in units of 2⁻²² as its fixed-point form has them. Outside the filter's
 * reach weights are 0, so the window of `coefficients.ts` needs no mask.
 */
function weightMatrix(n: Nodes, {length, resized, from}: Side, {crop, filter}: ResizeGeometry): Value {
  const column = n.ints(Array.from({length: crop}, (_, i) => i));
  const outputs = n.op('Unsqueeze', [n.cast(n.op('Add', [column, from]), 'float64'), n.ints([1])]);
  const inputs = n.cast(n.op('Range', [n.int(0), length, n.int(1)]), 'float64');
  const scale = n.op('Div', [n.cast(length, 'float64'), n.cast(resized, 'float64')]);
  const stretch = n.op('Max', [scale, n.number(1)]);
  const centre = n.op('Mul', [n.op('Add', [outputs, n.number(0.5)]), scale]);
  const distance = n.op('Add', [n.op('Sub', [inputs, centre]), n.number(0.5)]);
  const weights = filters[filter].weights(n, n.op('Mul', [distance, n.op('Div', [n.number(1), stretch])]));
  const sum = n.op('ReduceSum', [weights, n.ints([1])], {keepdims: 1});
  const fixed = n.op('Mul', [n.op('Div', [weights, sum]), n.number(2 ** PRECISION_BITS)]);
  const negative = n.op('Less', [fixed, n.number(0)], {}, 'bool');
  const half = n.op('Where', [negative, n.number(-0.5), n.number(0.5)], {}, 'float64');
  return n.cast(n.cast(n.op('Add', [fixed, half]), 'int64'), 'float64'); // truncated, as C does
}

/** Sums in units of 2⁻²² back to bytes: rounded, and cut off where the cubic overshoots. */
function toBytes(n: Nodes, sums: Value): Value {
  const half = n.op('Add', [sums, n.number(2 ** (PRECISION_BITS - 1))]);
  const floor = n.op('Floor', [n.op('Mul', [half, n.number(2 ** -PRECISION_BITS)])]);
  return n.op('Clip', [floor, n.number(0), n.number(255)]);
}

/** Row by row, then column by column, each pass rounded to bytes. Sums of 30 bits are exact in float64: the result is Pillow's. */
function matrices(n: Nodes, image: Value, geometry: ResizeGeometry): Value {
  const {height, width} = sidesOf(n, image, geometry);
  const planes = n.cast(n.op('Transpose', [image], {perm: [0, 3, 1, 2]}), 'float64'); // [N, 3, H, W]
  const across = n.op('Transpose', [weightMatrix(n, width, geometry)], {perm: [1, 0]});
  const rows = toBytes(n, n.op('MatMul', [planes, across])); // [N, 3, H, crop]
  const pixels = toBytes(n, n.op('MatMul', [weightMatrix(n, height, geometry), rows])); // [N, 3, crop, crop]
  return n.cast(pixels, 'float32');
}

/**
 * ONNX's Resize on bytes. Its weights are computed in float32: about one pixel in 2,000 differs from Pillow's, by 1. Pillow leaves
 * pixels outside the image out and normalises what is left: `exclude_outside`, which onnxruntime obeys for the linear filter too.
 */
function resizeNode(n: Nodes, image: Value, geometry: ResizeGeometry): Value {
  const {height, width} = sidesOf(n, image, geometry);
  const planes = n.op('Transpose', [image], {perm: [0, 3, 1, 2]});
  const asList = (v: Value) => n.op('Unsqueeze', [v, n.ints([0])]);
  const both = (pick: (side: Side) => Value) => [height, width].map((side) => asList(pick(side)));
  const batch = n.op('Slice', [n.op('Shape', [image], {}, 'int64'), n.ints([0]), n.ints([1])]);
  const sizes = n.op('Concat', [batch, n.ints([3]), ...both((side) => side.resized)], {axis: 0}); // `axes` stumbles over computed sizes
  const mode = geometry.filter === 'bicubic' ? {mode: 'cubic', cubic_coeff_a: A} : {mode: 'linear'};
  const resized = n.op('Resize', [planes, undefined, undefined, sizes], {...mode, antialias: 1, exclude_outside: 1});
  const from = n.op(
    'Concat',
    both((side) => side.from),
    {axis: 0},
  );
  const to = n.op('Add', [from, n.ints([geometry.crop])]);
  return n.cast(n.op('Slice', [resized, from, to, n.ints([2, 3])]), 'float32');
}

export const resizers = {
  matrices: {
    description: 'two matrix products in float64, bit for bit what gpd eval does',
    since: 13,
    bound: 0,
    write: matrices,
  },
  'resize-op': {
    description: 'one Resize node with antialias; about one pixel in 2,000 differs by 1 of 255',
    since: 18,
    bound: 0.02, // a level is 0.02 of a colour's deviation; a small image in which several pixels differ moves by about as much
    write: resizeNode,
  },
} as const satisfies Record<string, Resizer>;
export type ResizerName = keyof typeof resizers;
export const resizerNames = Object.keys(resizers) as ResizerName[];
