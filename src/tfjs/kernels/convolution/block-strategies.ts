/** A dense convolution through onnxruntime's blocks of channels, directly and by Winograd's algorithm; forward, or the gradient of x for stride 1. */
import type {Lowering} from '../../lowering/lowering.js';
import type {Strategies, Strategy} from '../../lowering/strategies.js';
import {type BlockedOptions, canBlock, canBlockForward, convolveBlocked, FORWARD} from './blocked-conv.js';
import {turnedPads, type Windows} from './window.js';
import {convolveWinograd, isForWinograd} from './winograd.js';

/** `from` is the dimension of the filter [H, W, I, O] that is summed over: FORWARD or BACKWARD. */
export function blockStrategies(
  {block}: Lowering,
  windows: Windows,
  [, , inputs, outputs]: readonly number[],
  from: number,
): Strategies {
  const isForward = from === FORWARD;
  if (block === undefined) return {};
  const canBlockBoth = canBlock([inputs!, outputs!], block);
  if (!(isForward ? canBlockForward(inputs!, outputs!, block) : canBlockBoth)) return {};
  const options: BlockedOptions = {block, windows, from, ...(!isForward && {padding: turnedPads(windows)})};
  const through =
    (convolve: typeof convolveBlocked): Strategy =>
    (g, [x, filter]) => ({value: convolve(g, x!, g.any(filter!), options), perm: windows.perm, inBlocks: true});
  const [height] = windows.spans;
  const isWinograd = canBlockBoth && isForWinograd(windows, height, isForward ? height.out : height.size);
  return {blocked: through(convolveBlocked), ...(isWinograd && {winograd: through(convolveWinograd)})};
}
