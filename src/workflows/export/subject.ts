/** A form as evaluation, verification and bench see it. */
import {fileSource} from '../../core/bytes.js';
import {type Subject, subjectOfModel} from '../../eval/subject.js';
import {emulateHalf} from '../../export/half/emulate.js';
import type {Precise} from '../../export/precision.js';
import {modelBytes} from '../../onnx/encode.js';
import {openSession} from '../../onnx/session.js';
import type {CheckedForm} from './check.js';
import type {PlannedForm} from './plan.js';

export interface RunnableForm {
  readonly plan: PlannedForm;
  readonly made: Precise;
  /** The file that onnxruntime opens. */
  readonly runs: string;
  readonly source: Subject;
}

/**
 * Only ONNX files tell their interface; onnxruntime's own format has that of the model it was made of. A float16 model is evaluated by
 * its emulation: the CPU would compute it in float32.
 */
export function subjectsOfForm({plan, made, runs, source}: RunnableForm): CheckedForm {
  const own = subjectOfModel(plan.path, 'student', made.model, source.family);
  const written = fileSource(runs);
  written.close();
  const size = {...own.size, fileBytes: written.size};
  const file: Subject = {
    ...own,
    ...{name: plan.name, path: plan.path, form: 'onnx', size},
    open: (options) => openSession(runs, {...options, file: made.model.file}),
  };
  if (plan.precision !== 'fp16') return {subject: file, file};
  const emulated = emulateHalf(made.model);
  const input = own.input.dtype === 'uint8' ? own.input : {...own.input, dtype: 'float32' as const};
  const subject: Subject = {
    ...file,
    input,
    model: () => emulated,
    open: (options) => openSession(modelBytes(emulated), {...options, optimize: 'disabled', file: emulated.file}),
  };
  return {subject, file};
}
