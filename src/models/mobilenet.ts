/** MobileNet v1, Howard et al. 2017, arXiv 1704.04861, table 1; keys of the original GPD code (`model` is one Sequential). */
import type {Architecture, Network} from './layers.js';

export interface MobileNetSize {
  stem: number;
  /** Output channels of the thirteen separable blocks. */
  widths: readonly number[];
  classes: number;
}

/** Strides of the depthwise convolutions. */
const strides = [1, 2, 1, 2, 1, 2, 1, 1, 1, 1, 1, 2, 1];
/** Output channels of the blocks, in units of the stem's. */
export const relativeWidths = [2, 4, 4, 8, 8, 16, 16, 16, 16, 16, 16, 32, 32];
const POOL = 7; // nn.AvgPool2d(7): of a larger map it averages the top-left window alone

export function mobilenetNetwork(size: MobileNetSize): Network {
  return (l, image) => {
    let x = l.conv(image, 'model.0.0', {out: size.stem, kernel: 3, stride: 2, pad: 1});
    x = l.relu(l.batchNorm(x, 'model.0.1'), 'model.0.2');
    for (const [i, out] of size.widths.entries()) {
      const name = `model.${i + 1}`;
      const groups = l.channels(x);
      x = l.conv(x, `${name}.0`, {out: groups, kernel: 3, stride: strides[i]!, pad: 1, groups});
      x = l.relu(l.batchNorm(x, `${name}.1`), `${name}.2`);
      x = l.conv(x, `${name}.3`, {out, kernel: 1});
      x = l.relu(l.batchNorm(x, `${name}.4`), `${name}.5`);
    }
    x = l.averagePool(x, 'model.14', {kernel: POOL, stride: POOL, pad: 0});
    return l.linear(l.flatten(x, 'flatten'), 'fc', {out: size.classes});
  };
}

/** Five halvings lead to the map that the pooling window must fit exactly once. */
export function mobilenetRefuses(imageSize: number): string | undefined {
  const map = Math.ceil(imageSize / 32);
  if (map >= POOL && map < 2 * POOL) return undefined;
  return `MobileNet averages one 7x7 window: images need 193 to 416 pixels a side, not ${imageSize}`;
}

export const mobilenet = (name: string, size: MobileNetSize): Architecture => ({
  name,
  family: 'mobilenet',
  network: mobilenetNetwork(size),
  first: 'model.0.0',
  last: 'fc',
  classes: size.classes,
  imageSize: 224,
  refuses: mobilenetRefuses,
});
