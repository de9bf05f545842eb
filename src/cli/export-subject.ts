/** A form as evaluation, verification and bench see it. */
import {fileSource} from '../core/bytes.js';
import {type Subject, subjectOfModel} from '../eval/subject.js';
import {emulateHalf} from '../export/half/emulate.js';
import type {Precise} from '../export/precision.js';
import {modelBytes} from '../onnx/encode.js';
import {openSession} from '../onnx/session.js';
import type {PlannedForm} from './export-plan.js';

export interface RunnableForm {
  readonly plan: PlannedForm;
  readonly made: Precise;
  /** The file that onnxruntime opens. */
  readonly runs: string;
  readonly source: Subject;
}

/**
 * Only ONNX files tell their interface; onnxruntime's own format has that of the model it was made of. A float16 model is judged by its
 * emulation: the CPU would compute it in float32.
 */
export function subjectOfForm({plan, made, runs, source}: RunnableForm): Subject {
  const own = subjectOfModel(plan.path, 'student', made.model, source.family);
  const written = fileSource(runs);
  written.close();
  const size = {...own.size, fileBytes: written.size};
  const subject: Subject = {
    ...own,
    ...{name: plan.name, path: plan.path, form: 'onnx', size},
    open: (options) => openSession(runs, options),
  };
  if (plan.precision !== 'fp16') return subject;
  const emulated = emulateHalf(made.model);
  const input = {...own.input, dtype: own.input.dtype === 'uint8' ? ('uint8' as const) : ('float32' as const)};
  return {
    ...subject,
    input,
    model: () => emulated,
    open: (options) => openSession(modelBytes(emulated), {...options, optimize: 'disabled'}),
  };
}

/** The same for the bench: the file itself, with its own types. */
export function benchedSubject(subject: Subject, made: Precise, runs: string): Subject {
  const {input} = subjectOfModel(subject.path, 'student', made.model);
  return {...subject, input, path: runs, open: (options) => openSession(runs, options)};
}
