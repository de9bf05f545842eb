/** One entry of the table of kernels: what a TensorFlow.js kernel gives, known without computing it, and how ONNX computes it. */
import type {Lowering} from './lowering.js';
import type {LazyValue, TypedShape} from './value.js';

// biome-ignore lint/suspicious/noExplicitAny: attributes are the kernel's own, as TensorFlow.js documents them
export type Attributes = any;

export interface KernelEntry {
  /** Names of the inputs in the order in which `infer` and `lower` get them; a kernel on a list of tensors has none. */
  readonly inputs: readonly string[];
  /** Some inputs may be missing: `attrs.given` then has the names of those that are there, in order. */
  readonly optional?: boolean;
  /** The kernel gives a list of tensors. */
  readonly list?: boolean;
  /** Attributes that are numbers which may change from step to step: they become scalar inputs, after the kernel's own. */
  readonly numbers?: readonly string[];
  /** Types of the results. */
  infer(inputs: readonly TypedShape[], attrs: Attributes): TypedShape[];
  /**
   * Why this call is left to TensorFlow.js's own cpu implementation, or undefined. Inputs that have been computed or were
   * written by the host have their numbers in `data`.
   */
  refuses?(inputs: readonly LazyValue[], attrs: Attributes): string | undefined;
  /** The result as numbers of the first input that lie in one piece, if it is: how many come before. */
  part?(inputs: readonly TypedShape[], attrs: Attributes): number | undefined;
  /** Defines every output in the graph that is being lowered. */
  lower(g: Lowering, inputs: readonly LazyValue[], attrs: Attributes, outputs: readonly LazyValue[]): void;
}

/** The reason of calls that move no numbers: TensorFlow.js's own code makes a second handle on the same data. Not a fallback. */
export const SHARES_DATA = 'shares its data';

/** Only float32: the reason why other types are refused. */
export const float32Only = (inputs: readonly TypedShape[]): string | undefined => {
  const other = inputs.find((v) => v.dtype !== 'float32');
  return other && `${other.dtype} numbers`;
};
