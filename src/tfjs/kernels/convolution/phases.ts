/**
 * The gradient of x for a convolution that takes steps. With stride s the pixels of dx are s·s phases, each s pixels apart: a window of dy reaches
 * those of one phase with the same taps, every s-th, so that each phase is a convolution of dy with them, and nothing is multiplied by zeros.
 */
import type {Value} from '../../../onnx/graph.js';
import type {Laid, Lowering} from '../../lowering/lowering.js';
import type {LazyValue} from '../../lowering/value.js';
import {BACKWARD, blockedConv, rowsOfBlocks, someTaps} from './blocked-conv.js';
import type {Span, Windows} from './window.js';

/** Every phase has as many pixels and at least one tap, and dy is not to be cut. */
export const hasPhases = ({spans}: Windows): boolean =>
  spans.every((s) => s.dilation === 1 && s.size % s.stride === 0 && s.kernel >= s.stride) &&
  spans.flatMap(phasesOf).every(({before, after}) => before >= 0 && after >= 0);

interface Phase {
  /** Of the filter, in the order in which dy's pixels meet them. */
  taps: number[];
  /** Zeros around dy. */
  before: number;
  after: number;
}

/**
 * x at phase + stride·j has from dy at j + c − k what the filter has at first + stride·k, with first = (phase + before) mod stride: as a convolution,
 * the last of these taps first.
 */
function phasesOf({size, kernel, stride, before, out}: Span): Phase[] {
  return Array.from({length: stride}, (_, phase) => {
    const first = (phase + before) % stride;
    const count = Math.ceil((kernel - first) / stride);
    const taps = Array.from({length: count}, (_, k) => first + stride * (count - 1 - k));
    const zeros = count - 1 - (phase + before - first) / stride;
    return {taps, before: zeros, after: size / stride - out + count - 1 - zeros};
  });
}

/** Through blocks of channels, where the result stays. */
export function convolvePhases(g: Lowering, dy: LazyValue, filter: Laid, windows: Windows, block: number): Laid {
  const {perm, spans} = windows;
  const [h, w] = spans;
  const image = g.blocks(dy, perm);
  const blocks = rowsOfBlocks(g, filter, BACKWARD, block);
  const channels = blocks.to * block;
  const [batch] = image.dims as number[];
  const [height, width] = [h.size / h.stride, w.size / w.stride];
  const across = phasesOf(w);
  const rows = phasesOf(h).map((down): Value => {
    const phases = across.map((along): Value => {
      const taps = down.taps.flatMap((r) => along.taps.map((s) => r * w.kernel + s));
      const size: [number, number] = [down.taps.length, along.taps.length];
      const attributes = {kernel_shape: size, pads: [down.before, along.before, down.after, along.after]};
      return blockedConv(g, image, someTaps(g, blocks, taps, size), attributes, [batch!, channels, height, width]);
    });
    return beside(g, phases, [batch! * blocks.to * height * width, block]);
  });
  const images = beside(g, rows, [batch! * blocks.to * height, w.size * block]);
  return {value: g.reshape(images, [batch!, channels, h.size, w.size]), perm, inBlocks: true};
}

/** Matrices of that shape, a row of each in turn. */
function beside(g: Lowering, matrices: readonly Value[], shape: readonly number[]): Value {
  if (matrices.length === 1) return matrices[0]!;
  return g.op(
    'Concat',
    matrices.map((v) => g.reshape(v, shape)),
    {axis: 1},
  );
}
