/**
 * What an entry of the table of precisions is: a way to store and compute the numbers of a network. Each makes a new model of the
 * float32 student and says what it did; whether the result is good enough is decided by whoever runs it.
 */
import type {Tensor} from '../core/tensor.js';
import type {Model} from '../onnx/graph.js';
import type {QuantiseOptions} from './quantise/quantise.js';

/** Images that stand for what the network will see. */
export interface Calibration {
  /** `512 images of imagenet/train`, `16 random images`. */
  readonly description: string;
  /** Photographs, not noise. */
  readonly real: boolean;
  /** Batches of [n, 3, S, S], normalised; read anew at each call. */
  batches(): AsyncIterable<Tensor<'float32'>>;
  /** What was seen of them; complete once `batches` was read to its end. */
  readonly seen: CalibrationImages;
  /** Images of the same set that take no part in the calibration: what a form is checked on. Undefined where none are left. */
  readonly heldOut?: Pick<Calibration, 'description' | 'batches'> | undefined;
}
export interface CalibrationImages {
  readonly images: number;
  /** How many are unlike each other. */
  readonly distinct: number;
  /** Of how many classes they are, and how many the set has; undefined where it has no labels. */
  readonly classes: {readonly found: number; readonly of: number} | undefined;
}

/** What only int8 asks for: see `QuantiseOptions`. */
export type Int8Options = Pick<QuantiseOptions, 'method' | 'activations' | 'biasType' | 'weightRange' | 'check' | 'maxDrop'> & {
  /** Write it although most of its arithmetic is in float32. */
  readonly allowFloat?: boolean;
};

export interface PrecisionContext {
  readonly calibration: Calibration;
  /** The type of the images and logits of a float16 network. */
  readonly io: 'float32' | 'float16';
  readonly int8: Int8Options;
  readonly onProgress?: ((what: string) => void) | undefined;
}

export interface Precise {
  readonly model: Model;
  /** What a person should know, a sentence each. */
  readonly notes: readonly string[];
  /** What a person should not overlook. */
  readonly warnings?: readonly string[];
  /** Why the form does not deserve its name: it is not written then. */
  readonly refused?: string;
  /** The same for programs. */
  readonly details: object;
}

export interface Precision {
  /** Added to a file's name: `student.fp16.onnx`. */
  readonly suffix: string;
  /** For tables and help. */
  readonly description: string;
  /**
   * How far its logits may be from the float32 student's on random images, relative to the largest. Undefined where random
   * images say nothing: images and gates decide.
   */
  readonly bound: {readonly relative: number; readonly because: string} | undefined;
  /** The oldest opset that can say it; a model of an older one is raised to it. */
  readonly opset?: {readonly since: number; readonly because: string};
  /** Leaves `model` as it is. Throws EXPORT_REFUSED for a network that is not in float32. */
  make(model: Model, context: PrecisionContext): Promise<Precise>;
}
