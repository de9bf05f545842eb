/** `--labels`: the names of a well-known set, or a file of names. */
import {imagenetClasses} from '../data/imagenet-classes.js';
import {readLabels} from './read-labels.js';

const known: Readonly<Record<string, readonly string[]>> = {
  imagenet: imagenetClasses,
  // In the order of https://www.cs.toronto.edu/~kriz/cifar.html.
  cifar10: ['airplane', 'automobile', 'bird', 'cat', 'deer', 'dog', 'frog', 'horse', 'ship', 'truck'],
};

export const knownClassNames = Object.keys(known);

/** Throws the codes of `readLabels`. */
export const classNames = (asked: string): readonly string[] => known[asked] ?? readLabels(asked);
