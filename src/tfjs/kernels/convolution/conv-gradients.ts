/** The two gradients of a dense convolution, each the fastest of several ways. */
import type {Value} from '../../../onnx/graph.js';
import type {Laid, Lowering} from '../../lowering/lowering.js';
import type {Strategies, Strategy} from '../../lowering/strategies.js';
import type {LazyValue} from '../../lowering/value.js';
import {blockStrategies} from './block-strategies.js';
import {BACKWARD, canBlock} from './blocked-conv.js';
import {convolveColumnsBack, isForColumns} from './columns.js';
import {filterGradientStrategies} from './filter-gradient.js';
import {convolvePhases, hasPhases} from './phases.js';
import {canTurn, each, overhang, pads, turnedPads, type Windows} from './window.js';
import {tileStrategies} from './winograd-tiles.js';

export const OIHW_OF_HWIO = [3, 2, 0, 1];
const IOHW_OF_HWIO = [2, 3, 0, 1];

/**
 * dx: every number of dy spreads over the window that it came from. ConvTranspose has its weights as [C of dy, C of dx / group,
 * H, W], which is the forward's OIHW. Rows that no window reached are `output_padding`.
 */
function spread(g: Lowering, dy: Value, weight: Value, {spans}: Windows): Value {
  return g.op('ConvTranspose', [dy, weight], {
    kernel_shape: each(spans, 'kernel'),
    strides: each(spans, 'stride'),
    dilations: each(spans, 'dilation'),
    pads: pads(spans),
    output_padding: spans.map((s) => Math.max(0, -overhang(s))),
  });
}

/**
 * The same for stride 1, as a convolution of dy with the filters turned around and their two kinds of channels exchanged. Each
 * side is padded by what the windows reach minus the padding of the forward.
 */
function turned(g: Lowering, {value, perm}: Laid): Laid {
  const end = -(2 ** 31 - 1); // before the first number: a slice backwards takes it too
  const axes = [perm.indexOf(0), perm.indexOf(1)]; // of height and width
  const isPoint = axes.every((axis) => value.dims[axis] === 1);
  const steps = [-1, -1];
  return {
    value: isPoint ? value : g.op('Slice', [value, ...[steps, [end, end], axes, steps].map((list) => g.ints(list))]),
    perm,
  };
}
const convolveTurned = (g: Lowering, dy: Value, filter: Laid, windows: Windows): Value =>
  g.op('Conv', [dy, g.ordered(turned(g, filter), IOHW_OF_HWIO)], {
    kernel_shape: each(windows.spans, 'kernel'),
    dilations: each(windows.spans, 'dilation'),
    pads: turnedPads(windows),
  });

function inPhases({block}: Lowering, windows: Windows, [, , inputs, outputs]: readonly number[]): Strategies {
  if (!canBlock([inputs!, outputs!], block) || !hasPhases(windows)) return {};
  return {phases: (g, [dy, filter]) => convolvePhases(g, dy!, g.any(filter!), windows, block)};
}

/** Of a dense convolution. */
export function convolveInputGradient(g: Lowering, dy: LazyValue, filter: LazyValue, windows: Windows): Laid {
  const {perm} = windows;
  const spreading: Strategy = (h, [d, f]) => ({value: spread(h, h.in(d!, perm), h.in(f!, OIHW_OF_HWIO), windows), perm});
  const what = `conv dx ${JSON.stringify(windows)}`;
  if (!canTurn(windows)) return g.fastest(what, [dy, filter], {spreading, ...inPhases(g, windows, filter.shape)});
  const turning: Strategy = (h, [d, f]) => ({value: convolveTurned(h, h.in(d!, perm), h.any(f!), windows), perm});
  const columns = isForColumns(windows, filter.shape[3]!) && {columns: convolveColumnsBack(windows)};
  return g.fastest(what, [dy, filter], {
    turning,
    spreading,
    ...columns,
    ...blockStrategies(g, windows, filter.shape, BACKWARD),
    ...tileStrategies(windows, filter.shape, BACKWARD),
  });
}

export function convolveFilterGradient(
  g: Lowering,
  x: LazyValue,
  dy: LazyValue,
  windows: Windows,
  filter: readonly number[],
): Laid {
  return g.fastest(`conv dw ${JSON.stringify(windows)}`, [x, dy], filterGradientStrategies(g, windows, filter));
}
