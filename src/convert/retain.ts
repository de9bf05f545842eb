/** A state dict that remembers what was read: the proof and the fold use the same blocks of the same tensors. */
import {byteLength, type Shape, type StateDict, type Tensor, type TensorSource} from '../core/tensor.js';

/** A student of a published size fits; the blocks of a wide teacher are read again. */
const MAX_RETAINED_BYTES = 256 * 2 ** 20;

export interface RetainedStateDict {
  stateDict: StateDict;
  /** Forgets everything. */
  release(): void;
}

export function retain(stateDict: StateDict): RetainedStateDict {
  const blocks = new Map<string, Tensor>();
  let bytes = 0;
  const retained = (key: string, source: TensorSource): TensorSource => ({
    ...source,
    read(leading: Shape = source.shape) {
      const block = `${key} ${leading}`;
      const known = blocks.get(block);
      if (known) return known;
      const read = source.read(leading);
      bytes += byteLength(read);
      if (bytes <= MAX_RETAINED_BYTES) blocks.set(block, read);
      return read;
    },
  });
  return {
    stateDict: new Map([...stateDict].map(([key, source]) => [key, retained(key, source)])),
    release() {
      blocks.clear();
      bytes = 0;
    },
  };
}
