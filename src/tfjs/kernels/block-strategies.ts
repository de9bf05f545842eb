/** A dense convolution through onnxruntime's blocks of channels, directly and by Winograd's algorithm; forward, or the gradient of x for stride 1. */
import type {Strategies, Strategy} from '../strategies.js';
import {type BlockedOptions, blockSizes, canBlock, canBlockForward, convolveBlocked, FORWARD} from './blocked-conv.js';
import {turnedPads, type Windows} from './window.js';
import {convolveWinograd, isForWinograd} from './winograd.js';

/** `from` is the dimension of the filter [H, W, I, O] that is summed over: FORWARD or BACKWARD. */
export function blockStrategies(windows: Windows, [, , inputs, outputs]: readonly number[], from: number): Strategies {
  const [height] = windows.spans;
  const isForward = from === FORWARD;
  const strategies: Record<string, Strategy> = {};
  for (const block of blockSizes) {
    const canBlockBoth = canBlock([inputs!, outputs!], block);
    if (!(isForward ? canBlockForward(inputs!, outputs!, block) : canBlockBoth)) continue;
    const options: BlockedOptions = {block, windows, from, ...(!isForward && {padding: turnedPads(windows)})};
    const through =
      (convolve: typeof convolveBlocked): Strategy =>
      (g, [x, filter]) => ({value: convolve(g, g.in(x!, windows.perm), g.any(filter!), options), perm: windows.perm});
    strategies[`blocked${block}`] = through(convolveBlocked);
    if (canBlockBoth && isForWinograd(windows, height, isForward ? height.out : height.size))
      strategies[`winograd${block}`] = through(convolveWinograd);
  }
  return strategies;
}
