/** One entry of the table of kernels: what a TensorFlow.js kernel gives, known without computing it, and how ONNX computes it. */
import type {Lowering} from './lowering.js';
import type {LazyValue, TypedShape} from './value.js';

// biome-ignore lint/suspicious/noExplicitAny: attributes are the kernel's own, as TensorFlow.js documents them
export type Attributes = any;

export interface KernelEntry {
  /** Names of the inputs in the order in which `infer` and `lower` get them; a kernel on a list of tensors has none. */
  readonly inputs: readonly string[];
  /** The kernel gives a list of tensors. */
  readonly list?: boolean;
  /** Types of the results. */
  infer(inputs: readonly TypedShape[], attrs: Attributes): TypedShape[];
  /** Why this call is left to TensorFlow.js's own cpu implementation, or undefined. */
  refuses?(inputs: readonly TypedShape[], attrs: Attributes): string | undefined;
  /** Defines every output in the graph that is being lowered. */
  lower(g: Lowering, inputs: readonly LazyValue[], attrs: Attributes, outputs: readonly LazyValue[]): void;
}
