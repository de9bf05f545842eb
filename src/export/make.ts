/** From the float32 student to the model of a form, in the order in which the steps may follow each other. */

import {GpdError} from '../core/error.js';
import type {Recipe} from '../data/recipe.js';
import {asStudentsProof, gpdEntries} from '../onnx/gpd-metadata.js';
import type {Model} from '../onnx/graph.js';
import {type InputShape, withInputShape} from './input-shape.js';
import {notRaisable, toOpset} from './opset.js';
import type {Precise, Precision, PrecisionContext} from './precision.js';
import {type PrecisionName, precisions} from './precisions.js';
import {type AnswerOptions, addAnswers} from './preprocess/answers.js';
import {embedPreprocessing} from './preprocess/embed.js';
import {type ResizerName, resizers} from './preprocess/resize.js';
import {checkTarget, resizerFor, type Target, type TargetName, targetNotes, targets} from './targets.js';

export interface FormOptions {
  readonly opset?: number | undefined;
  readonly target?: TargetName | undefined;
  readonly batch?: InputShape['batch'];
  /** Pixels a side. */
  readonly side?: number | undefined;
  /** Preparation of images inside the model. `resizer` undefined: what the target asks for, else the exact one. */
  readonly embed?: {readonly recipe: Recipe; readonly resizer?: ResizerName | undefined} | undefined;
  readonly answers?: AnswerOptions | undefined;
}

/** The student as a form starts from it: opset and image size. Throws what `toOpset` and `withInputShape` throw. */
export async function prepareStudent(
  student: Model,
  precision: PrecisionName,
  {opset, target, side}: FormOptions,
): Promise<Model> {
  const versioned = inOpset(student, opset, target && targets[target]);
  const moved = opset === undefined ? raisedFor(precision, versioned) : versioned;
  if (target) checkTarget(moved, target); // what is not there now will not be there later
  return withInputShape(moved, {side});
}

/** A runtime reads older opsets too: a foreign model that cannot be raised to the target's keeps its own. */
function inOpset(student: Model, asked: number | undefined, target: Target | undefined): Model {
  if (asked !== undefined) return asked === student.opset ? student : toOpset(student, {opset: asked});
  if (!target || (student.opset < target.opset && notRaisable(student, target.opset))) return student;
  return toOpset(student, target);
}

/** Some numbers cannot be said in an old opset. */
function raisedFor(precision: PrecisionName, student: Model): Model {
  const {opset}: Precision = precisions[precision];
  if (!opset || student.opset >= opset.since) return student;
  const node = notRaisable(student, opset.since);
  if (!node) return toOpset(student, {opset: opset.since});
  const problem = `it is not known here how ${node} changed since opset ${student.opset}`;
  throw new GpdError('EXPORT_REFUSED', `${precision} needs opset ${opset.since} (${opset.because}): ${problem}`, {
    at: node.name,
    hint: `export the model from its framework again, in opset ${opset.since} or later`,
  });
}

/** A model in one precision. `student` is what `prepareStudent` gave. */
export async function makeModel(
  student: Model,
  precision: PrecisionName,
  options: FormOptions,
  context: PrecisionContext,
): Promise<Precise> {
  const target: Target | undefined = options.target && targets[options.target];
  const int8 = {...target?.int8, ...context.int8};
  const made = await precisions[precision].make(student, {...context, int8});
  const notes = [...made.notes];
  let details: object = made.details;
  let model = await withInputShape(made.model, {batch: options.batch ?? target?.batch});
  model.metadata = new Map([...asStudentsProof(model.metadata), ...gpdEntries({precision})]);
  if (options.embed) {
    const {recipe} = options.embed;
    const resizer = chooseResizer(model, options);
    const embedded = embedPreprocessing(model, {recipe, resizer});
    model = embedded.model;
    const preprocessing = {...recipe, resizer, side: embedded.details.geometry.crop};
    for (const [key, text] of gpdEntries({preprocessing})) model.metadata.set(key, text);
    notes.push(...embedded.notes, ...(resizer === target?.resizer && target.resizerNote ? [target.resizerNote] : []));
    details = {...details, preprocessing: embedded.details};
  }
  if (options.answers) model = addAnswers(model, options.answers);
  if (options.target) {
    checkTarget(model, options.target);
    notes.push(...(precision === 'int8' && target?.int8.note ? [target.int8.note] : []), ...targetNotes(model, options.target));
  }
  return {...made, model, notes, details};
}

/** A target that wants the Resize node gets it where the opset has it. */
function chooseResizer({opset}: Model, {embed, target}: FormOptions): ResizerName {
  if (embed!.resizer) return embed!.resizer;
  const wanted = target ? resizerFor(target) : 'matrices';
  return opset >= resizers[wanted].since ? wanted : 'matrices';
}
