/** What is known when a set is opened, beside its files. */
import type {LabelContext} from './label-base.js';
import type {Use} from './splits.js';

export interface SetContext extends LabelContext {
  /** Decides which of several sets is taken. */
  readonly use: Use;
  /** Which of several labels is wanted. */
  readonly column?: string | undefined;
}
