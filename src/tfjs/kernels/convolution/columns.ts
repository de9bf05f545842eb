/** What a filter's taps meet of an image, tap by tap, and a convolution as one product of matrices made of that. */
import type {Value} from '../../../onnx/graph.js';
import type {Laid, Lowering} from '../../lowering/lowering.js';
import type {Strategy} from '../../lowering/strategies.js';
import {identity, type LazyValue} from '../../lowering/value.js';
import {after, each, type Span, type Windows} from './window.js';

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

/** What the taps meet of x, beside each other, times the filter as TensorFlow.js has it: [N·H′·W′, kH·kW·I]·[kH·kW·I, O]. Channels last. */
export function productOfColumns(g: Lowering, x: LazyValue, filter: LazyValue, windows: Windows): Laid {
  const [n, c, h, w] = windows.perm as [number, number, number, number];
  const [kH, kW, channels, out] = filter.shape as [number, number, number, number];
  const parts = taps(g, g.in(x, [n, h, w, c]), windows, [1, 2]);
  return {value: besideTimes(g, parts, g.reshape(g.plain(filter), [kH * kW * channels, out])), perm: [n, h, w, c]};
}

/** Images [N, H, W, C], beside each other, times weights [parts·C, O]. */
export function besideTimes(g: Lowering, parts: readonly Value[], weights: Value): Value {
  const beside = parts.length === 1 ? parts[0]! : g.op('Concat', parts, {axis: 3});
  const [n, h, w, from] = beside.dims as [number, number, number, number];
  return g.reshape(g.op('Gemm', [g.reshape(beside, [n * h * w, from]), weights]), [n, h, w, weights.dims[1] as number]);
}

export const convolveColumns =
  (windows: Windows): Strategy =>
  (g, [x, filter]) => ({
    value: g.ordered(productOfColumns(g, x!, filter!, windows), windows.perm),
    perm: windows.perm,
  });

/** The windows on dy, zeros where a stride leaves numbers out, that make the gradient of x; and what of their result lies before x, where the padding was wider than the filter. */
export function backwards({spans}: Windows): {spans: [Span, Span]; cut: [number, number]} {
  const reach = spans.map((s) => (s.kernel - 1) * s.dilation);
  const cut = spans.map((s, i) => Math.max(0, s.before - reach[i]!)) as [number, number];
  const turned = spans.map((s, i) => ({
    ...s,
    size: (s.out - 1) * s.stride + 1,
    stride: 1,
    out: s.size + cut[i]!,
    before: reach[i]! - s.before + cut[i]!,
  }));
  return {spans: turned as [Span, Span], cut};
}

/** The gradient of x for stride 1: what each tap meets of dy, the last tap first, [taps, N·H·W, O], times the filter's [taps, I, O], and added up. */
export const convolveColumnsBack =
  (windows: Windows): Strategy =>
  (g, [dy, filter]) => {
    const [n, c, h, w] = windows.perm as [number, number, number, number];
    const [kH, kW, channels, out] = filter!.shape as [number, number, number, number];
    const {spans} = backwards(windows);
    const [height, width] = each(spans, 'out');
    const places = dy!.shape[n]! * height * width;
    const parts = taps(g, g.in(dy!, [n, h, w, c]), {...windows, spans}, [1, 2]).reverse();
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
