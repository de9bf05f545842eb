/** What a filter's taps meet of an image, tap by tap, and a convolution as one product of matrices made of that. */
import type {Value} from '../../onnx/graph.js';
import type {Lowering} from '../lowering.js';
import type {Strategy} from '../strategies.js';
import {identity} from '../value.js';
import {after, type Span, type Windows} from './window.js';

/** The part of the padded image that tap number `tap` of the filter meets: first position, one after the last, step. */
function tapRange(span: Span, tap: number): [from: number, to: number, step: number] {
  const from = tap * span.dilation;
  return [from, from + (span.out - 1) * span.stride + 1, span.stride];
}

/** x padded, and its part under each tap, row by row. `axes` are those of height and width in the order at hand. */
export function taps(g: Lowering, x: Value, {spans: [h, w]}: Windows, axes: readonly [number, number]): Value[] {
  const before = [0, 0, 0, 0];
  const behind = [0, 0, 0, 0];
  for (const [i, span] of [h, w].entries()) [before[axes[i]!], behind[axes[i]!]] = [span.before, after(span)];
  const needsPad = [...before, ...behind].some((n) => n > 0);
  const padded = needsPad ? g.op('Pad', [x, g.ints([...before, ...behind])]) : x;
  const parts: Value[] = [];
  for (let r = 0; r < h.kernel; r++) {
    for (let s = 0; s < w.kernel; s++) {
      const [[top, bottom, down], [left, right, across]] = [tapRange(h, r), tapRange(w, s)];
      const [from, to, steps] = [
        [top, left],
        [bottom, right],
        [down, across],
      ].map((b) => g.ints(b)) as [Value, Value, Value];
      parts.push(g.op('Slice', [padded, from, to, g.ints([...axes]), steps]));
    }
  }
  return parts;
}

/** Where maps have fewer places than channels, it costs more to bring a filter into blocks than to copy what each of its taps meets. */
export const isForColumns = ({outShape, perm}: Windows, channels: number): boolean =>
  outShape[perm[0]!]! * outShape[perm[2]!]! * outShape[perm[3]!]! <= channels;

/** [N·H′·W′, kH·kW·I] times the filter as TensorFlow.js has it, [kH·kW·I, O]. */
export const convolveColumns =
  (windows: Windows): Strategy =>
  (g, [x, filter]) => {
    const [n, c, h, w] = windows.perm as [number, number, number, number];
    const [batch, height, width] = [n, h, w].map((d) => windows.outShape[d]!) as [number, number, number];
    const [kH, kW, channels, out] = filter!.shape as [number, number, number, number];
    const parts = taps(g, g.in(x!, [n, h, w, c]), windows, [1, 2]);
    const columns = parts.length === 1 ? parts[0]! : g.op('Concat', parts, {axis: 3});
    const rows = g.reshape(columns, [batch * height * width, kH * kW * channels]);
    const product = g.op('Gemm', [rows, g.reshape(g.in(filter!, identity(4)), [kH * kW * channels, out])]);
    const value = g.reshape(product, [batch, height, width, out]);
    return {value: g.ordered({value, perm: [n, h, w, c]}, windows.perm), perm: windows.perm};
  };

/** The gradient of x for stride 1: what each tap meets of dy, the last tap first, [taps, N·H·W, O], times the filter's [taps, I, O], and added up. */
export const convolveColumnsBack =
  (windows: Windows): Strategy =>
  (g, [dy, filter]) => {
    const [n, c, h, w] = windows.perm as [number, number, number, number];
    const [kH, kW, channels, out] = filter!.shape as [number, number, number, number];
    const turned = windows.spans.map((s) => ({...s, size: s.out, out: s.size, before: (s.kernel - 1) * s.dilation - s.before}));
    const [height, width] = turned.map((s) => s.out) as [number, number];
    const places = dy!.shape[n]! * height * width;
    const parts = taps(g, g.in(dy!, [n, h, w, c]), {...windows, spans: turned as [Span, Span]}, [1, 2]).reverse();
    const columns = g.op(
      'Concat',
      parts.map((part) => g.reshape(part, [1, places, out])),
      {axis: 0},
    );
    const byTap = g.reshape(g.in(filter!, identity(4)), [kH * kW, channels, out]);
    const products = g.internal('com.microsoft', 'FusedMatMul', [columns, byTap], {transB: 1}, [kH * kW, places, channels]);
    const sum = g.op('ReduceSum', [products, g.ints([0])], {keepdims: 0});
    const value = g.reshape(sum, [dy!.shape[n]!, height, width, channels]);
    return {value: g.ordered({value, perm: [n, h, w, c]}, windows.perm), perm: windows.perm};
  };
