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
export const costs = {
  map: 250,
  record: 120,
  entry: 48,
  item: 16,
  text: 24,
  file: 600,
  tensor: 1500,
  reported: 200,
  key: 300,
} as const;

/**
 * What tensors may take beyond the size of the file they come from, all together: several may be views of the same bytes (tied
 * weights, a value expanded to a vector). Room for a million float32, where real networks share a few thousand numbers.
 */
export const SHARED_BYTES = 4 << 20;
/** A byte that is read costs about so much less time than a byte that is made takes memory worth guarding. */
const READ_SHARE = 64;

/** What making tensors from a file may cost. Paid by each tensor, so that a few bytes under many names do not become gigabytes. */
export class ViewBudget {
  private left: number;

  /** `size` is that of the file whose bytes the tensors are views of. */
  constructor(size: number) {
    this.left = size + SHARED_BYTES;
  }

  /** Another file that tensors may lie in. */
  extend(size: number): void {
    this.left += size;
  }

  /**
   * The account of one tensor: to be told before each time it is read, how many bytes are about to be made, and how many read for
   * them. Reading it again costs nothing. Throws LIMIT_EXCEEDED.
   */
  account(file: string, tensor: string): (made: number, read?: number) => void {
    let paid = 0;
    return (made, read = made) => {
      const cost = Math.max(made, Math.ceil(read / READ_SHARE));
      const more = cost - paid;
      if (more <= 0) return;
      if (more <= this.left) {
        this.left -= more;
        paid = cost;
        return;
      }
      throw new GpdError(
        'LIMIT_EXCEEDED',
        `${file}: with tensor '${tensor}' its tensors take more memory than the file explains`,
        {
          at: `${file}#${tensor}`,
          hint: 'many tensors share the same few bytes: no network does that; do not load the file with other tools either',
        },
      );
    };
  }
}

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
