/** Sets of some of ImageNet's classes, called by their synsets: Imagenette, ImageNet-A, -R, -100. A network of 1,000 outputs needs no list. */
import {ILSVRC_CLASSES} from './ilsvrc-validation.js';
import {imagenetSynsets, synsetPlace} from './imagenet-synsets.js';
import {type DataWarning, warnings} from './warnings.js';

export interface ImagenetSubset {
  /** All 1,000, in the order of the outputs. */
  readonly classes: readonly string[];
  readonly warnings: readonly DataWarning[];
}

/** Undefined where the names are no synsets of ImageNet, or the model has not its outputs. All 1,000 are a subset too, without a warning. */
export function imagenetSubset(names: readonly string[], outputs: number | undefined): ImagenetSubset | undefined {
  if (outputs !== ILSVRC_CLASSES || names.length === 0) return undefined;
  if (!names.every((name) => synsetPlace(name) !== undefined)) return undefined;
  const said = names.length < ILSVRC_CLASSES ? warnings('imagenet-subset', names.length) : [];
  return {classes: imagenetSynsets, warnings: said};
}
