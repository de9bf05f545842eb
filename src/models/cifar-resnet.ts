/** The CIFAR-10 ResNets of He et al. 2016, section 4.2: three stages of basic blocks, shortcuts without parameters (option A). */
import type {Architecture, Network} from './layers.js';

export interface CifarResNetSize {
  widths: readonly number[];
  /** Blocks in each stage. */
  depths: readonly number[];
  classes: number;
  /** Name of the classifier: `linear` in the usual PyTorch implementation, `fc` in others. */
  classifier: string;
}

export function cifarResNetNetwork(size: CifarResNetSize): Network {
  return (l, image) => {
    let x = l.conv(image, 'conv1', {out: size.widths[0]!, kernel: 3, pad: 1});
    x = l.relu(l.batchNorm(x, 'bn1'), 'relu');
    for (const [stage, out] of size.widths.entries()) {
      for (let i = 0; i < size.depths[stage]!; i++) {
        const [name, stride] = [`layer${stage + 1}.${i}`, stage > 0 && i === 0 ? 2 : 1];
        let y = l.batchNorm(l.conv(x, `${name}.conv1`, {out, kernel: 3, stride, pad: 1}), `${name}.bn1`);
        y = l.relu(y, `${name}.relu1`);
        y = l.batchNorm(l.conv(y, `${name}.conv2`, {out, kernel: 3, pad: 1}), `${name}.bn2`);
        const same = stride === 1 && l.channels(x) === out;
        const short = same ? x : l.subsampleAndPad(x, `${name}.shortcut`, {stride, out});
        x = l.relu(l.add(y, short, `${name}.add`), `${name}.relu`);
      }
    }
    return l.linear(l.flatten(l.globalAveragePool(x, 'avgpool'), 'flatten'), size.classifier, {out: size.classes});
  };
}

export const cifarResnet = (name: string, size: CifarResNetSize): Architecture => ({
  name,
  family: 'cifar-resnet',
  network: cifarResNetNetwork(size),
  first: 'conv1',
  last: size.classifier,
  classes: size.classes,
  imageSize: 32,
  refuses: () => undefined,
});
