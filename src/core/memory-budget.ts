/**
 * What reading a file may cost. A byte of a file can ask for hundreds of bytes of objects (an empty dict is one byte in a pickle
 * and two hundred in memory), so readers say what they are about to make, and stop where the size of the file does not explain it.
 */
import {GpdError} from './error.js';

/**
 * Together with what the runtime needs to work at all (uncollected garbage, tables that grow by doubling) this keeps every reader
 * within 64 MiB + twice the size of the file: `scripts/attack-memory.ts` measures it.
 */
const FIXED_BYTES = 24 << 20;

/** What things keep in memory, with what is thrown away on the way to them, in bytes: measured with Node 20, rounded up. */
export const costs = {map: 250, record: 120, entry: 48, item: 16, text: 24, file: 600, tensor: 1500, reported: 200} as const;

export class MemoryBudget {
  private left: number;

  /** `name` is for the message; `size` is that of the bytes that are read. */
  constructor(
    private readonly name: string,
    size: number,
  ) {
    this.left = FIXED_BYTES + size;
  }

  /** To be called before the memory is used. Throws LIMIT_EXCEEDED. */
  spend(bytes: number): void {
    this.left -= bytes;
    if (this.left >= 0) return;
    throw new GpdError('LIMIT_EXCEEDED', `${this.name}: describes more objects than a network of its size has`, {
      at: this.name,
      hint: 'the file was made to use up memory, or is not a network; do not load it with other tools either',
    });
  }
}
