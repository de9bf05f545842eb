/** Slice(stored tensor) → a stored tensor that is read in part: of a wide checkpoint, the student's blocks are all that is ever read. */
import type {TensorSource} from '../../core/tensor.js';
import type {Value} from '../graph.js';
import {constant, ints, miss, op, rule} from '../pattern.js';

/** The leading block of a source, as a source. */
const leading = (source: TensorSource, shape: readonly number[]): TensorSource => ({
  ...source,
  shape,
  read: (block) => source.read(block ?? shape),
});

export const sliceInitializers = rule({
  name: 'slice-initializers',
  match: op('Slice', [constant('stored'), ints('starts'), ints('ends'), ints('axes')], 'slice'),
  check: ({starts, slice}) =>
    starts.every((s) => s === 0) ? undefined : miss('the block does not start at the beginning', slice),
  rewrite({stored, ends, axes}, g): Value {
    const shape = [...stored.initializer.shape];
    for (const [i, axis] of axes.entries()) shape[axis] = Math.min(shape[axis]!, ends[i]!);
    return g.initializer(stored.name, leading(stored.initializer, shape));
  },
});
