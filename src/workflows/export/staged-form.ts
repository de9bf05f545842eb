/** A form under construction: made and checked, but under no name that anybody sees. */
import type {Staging} from '../../core/output.js';
import type {Subject} from '../../eval/subject.js';
import type {Precise} from '../../export/precision.js';
import type {FormCheck} from './check.js';
import type {PlannedForm} from './plan.js';

/** A form under construction. */
export interface StagedForm {
  readonly plan: PlannedForm;
  readonly made: Precise | undefined;
  readonly bytes: number;
  readonly files: readonly string[];
  readonly staging: Staging;
  readonly check: FormCheck;
  /** What evaluation runs; undefined for weights. */
  readonly subject: Subject | undefined;
  /** What is timed: the file itself, with its own types. */
  readonly timed: Subject | undefined;
}
