/** The state of a network and of its optimiser as other rooms see it: tensors by name. */
import type {Tensor} from '../../../core/tensor.js';

/** Tensors under the original's names, in its layout and order: float32, and int64 counters of batches. */
export type NamedTensors = ReadonlyMap<string, Tensor>;

export interface OptimizerState {
  /** Updates so far. */
  readonly step: number;
  /** Slot → parameter → numbers, under PyTorch's names for slots: `momentum_buffer`, `square_avg`, `exp_avg`, `exp_avg_sq`. */
  readonly slots: ReadonlyMap<string, NamedTensors>;
}
