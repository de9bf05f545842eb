/** Samples with labels, wherever they come from. */
import type {DataWarning} from './warnings.js';

export interface Sample {
  readonly index: number;
  /** Where it came from, for messages. */
  readonly path: string;
  readonly label: number | undefined;
  /** The encoded image, in a fresh array: whoever reads may move its buffer to another thread. */
  read(): Promise<Uint8Array>;
}

export interface Dataset {
  readonly name: string;
  readonly samples: readonly Sample[];
  /** Class names in label order; [] when unknown. */
  readonly classes: readonly string[];
  /** They were listed in this order with `labels`. */
  readonly classesListed?: boolean;
  /** What was left out, guessed or looks wrong: files that are no images, classes without any, doubles. Whoever opens a set shows them. */
  readonly warnings: readonly DataWarning[];
  /** Images of the same place that are there for measuring: opened with `use: 'evaluation'`. Of a set that was opened for training. */
  readonly heldOut?: readonly string[];
  close(): Promise<void>;
}
