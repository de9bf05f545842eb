/** Tensors whose numbers stay in the memory of a device between runs. */
import type {Tensor} from '../core/tensor.js';

/** `data` copies the numbers to the host when it is read, once. */
export interface ResidentTensor extends Tensor {
  /** What the runtime takes as an input. */
  readonly native: object;
  /** Gives the memory back. What was not read before is lost. */
  release(): void;
}

export const isResident = (t: object): t is ResidentTensor => 'native' in t;
