/** How many channels the images of a network have: its first layer says it. */
import {GpdError} from '../core/error.js';
import type {StateDict} from '../core/tensor.js';
import {type Architecture, channelsOf} from './layers.js';

/** Instruments have some hundred bands; more is no image, and takes as much more memory. */
const MAX_CHANNELS = 512;

/** The network for images of as many channels as its first convolution takes. Throws SHAPE_MISMATCH for more than any image has. */
export function forItsChannels(arch: Architecture, stateDict: StateDict): Architecture {
  const first = stateDict.get(`${arch.first}.weight`) ?? stateDict.get(`${arch.first}.weight_orepa_origin`);
  const channels = first?.shape.length === 4 ? first.shape[1]! : channelsOf(arch);
  if (channels === channelsOf(arch)) return arch;
  if (channels < 1 || channels > MAX_CHANNELS) {
    throw new GpdError('SHAPE_MISMATCH', `'${arch.first}.weight' takes ${channels} channels, and no images have as many`, {
      at: `${arch.first}.weight`,
      hint: `networks for 1 to ${MAX_CHANNELS} channels are read: the file is damaged or was edited`,
    });
  }
  const finding = {what: 'channels', value: String(channels), from: `${arch.first}.weight; images of a folder have 3`};
  return {...arch, channels, conventions: [...(arch.conventions ?? []), finding]};
}
