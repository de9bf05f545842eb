/**
 * What model arguments mean: an ONNX file is taken as it is, a checkpoint becomes its networks in training form, branches and all.
 */

import {checkpointSource} from '../checkpoint/checkpoint-source.js';
import {besideWarnings} from '../checkpoint/ignored-entries.js';
import {openCheckpoint} from '../checkpoint/open.js';
import {choiceFlags} from '../checkpoint/state-dicts.js';
import {referenceForm} from '../convert/build.js';
import {GpdError, naming} from '../core/error.js';
import {expectWeights} from '../eval/memory-limit.js';
import {distinguish, measuredSubject, type Subject, subjectOfModel} from '../eval/subject.js';
import {leftOut, type RecogniseOptions, recognise} from '../models/recognise.js';
import {isModel} from '../onnx/is-model.js';
import type {Role} from '../reparam/parameters.js';

export interface SubjectOptions extends RecogniseOptions {
  /** Use the moving average of a checkpoint's weights. Default false. */
  ema?: boolean | undefined;
  /** The state dict under this key, such as `net` or `checkpoint.model`, of a file with several. Wins over `ema`. */
  key?: string | undefined;
  /** Which value of an ONNX model is its logits. Default: the output that looks like them. */
  outputName?: string | undefined;
}

/** Checkpoints stay open: their tensors are read when a session is made. */
export async function openSubjects(paths: readonly string[], options: SubjectOptions): Promise<Subject[]> {
  const subjects: Subject[] = [];
  for (const path of paths) subjects.push(...(await openSubject(path, options)));
  refuseUnusedIgnore(subjects, options);
  checkOutputName(subjects, options);
  return distinguish(subjects);
}

/** Throws CONFIG_INVALID where `--ignore` names tensors to leave out and no model is a checkpoint: a graph has no tensors beside it. */
export function refuseUnusedIgnore(subjects: readonly Pick<Subject, 'form' | 'path'>[], {ignore = []}: SubjectOptions): void {
  if (ignore.length === 0 || subjects.some(({form}) => form !== 'onnx')) return;
  const problem = `--ignore ${ignore.join(' ')} leaves out tensors of a checkpoint, and no model here is one`;
  throw new GpdError('CONFIG_INVALID', problem, {
    at: subjects[0]?.path ?? '',
    hint: 'leave --ignore away: an ONNX file is run as it is',
  });
}

/** Throws SHAPE_MISMATCH where no model has the output that was asked for. */
export function checkOutputName(subjects: readonly Subject[], {outputName}: SubjectOptions): void {
  const files = subjects.filter(({form}) => form === 'onnx');
  if (outputName === undefined || files.some(({output}) => output === outputName)) return;
  const [first] = files;
  const outputs = first
    ?.model()
    .graph.outputs.map(({name}) => `'${name}'`)
    .join(', ');
  throw new GpdError('SHAPE_MISMATCH', `no ONNX model here computes '${outputName}'`, {
    ...(first && {at: first.path}),
    hint: first ? `its outputs are ${outputs}; gpd inspect --text lists every value` : 'a checkpoint has one output alone',
  });
}

/** A checkpoint gives the dynamic teacher, where it has one, and the student; `roles` picks among them. */
export async function openSubject(path: string, options: SubjectOptions, roles?: readonly Role[]): Promise<Subject[]> {
  const source = checkpointSource(path);
  if (isModel(source)) {
    source.close();
    return [await measuredSubject(path, options)];
  }
  const checkpoint = openCheckpoint(source, options);
  const recognised = naming(path, () => recognise(checkpoint.stateDict, checkpoint.args, options), choiceFlags(options));
  const present: readonly Role[] = recognised.form.ratio > 1 ? ['teacher', 'student'] : ['student'];
  const wanted = present.filter((role) => roles?.includes(role) ?? true);
  const subjects: Subject[] = [];
  for (const role of wanted) {
    const model = await referenceForm(recognised, role, {});
    const made = subjectOfModel(path, role, model, recognised.arch.family, leftOut(recognised));
    const subject = {...made, warnings: [...checkpoint.warnings, ...besideWarnings(checkpoint), ...made.warnings]};
    const bytes = subject.size.weightBytes;
    expectWeights(path, bytes, Math.min(bytes, source.stored ?? bytes));
    subjects.push(subject);
  }
  return subjects;
}
