/** From the float32 student to the model of a form, in the order in which the steps may follow each other. */
import type {Recipe} from '../data/recipe.js';
import type {Model} from '../onnx/graph.js';
import {type InputShape, withInputShape} from './input-shape.js';
import {toOpset} from './opset.js';
import type {Precise, PrecisionContext} from './precision.js';
import {type PrecisionName, precisions} from './precisions.js';
import {type AnswerOptions, addAnswers} from './preprocess/answers.js';
import {embedPreprocessing} from './preprocess/embed.js';
import {type ResizerName, resizers} from './preprocess/resize.js';
import {checkTarget, resizerFor, type Target, type TargetName, targets} from './targets.js';

export interface ModelOptions {
  readonly opset?: number | undefined;
  readonly target?: TargetName | undefined;
  readonly batch?: InputShape['batch'];
  /** Pixels a side. */
  readonly side?: number | undefined;
  /** Preparation of images inside the model. `resizer` undefined: what the target asks for, else the exact one. */
  readonly embed?: {readonly recipe: Recipe; readonly resizer?: ResizerName | undefined} | undefined;
  readonly answers?: AnswerOptions | undefined;
}

/** The student as every form starts from it: opset and image size. Throws what `toOpset` and `withInputShape` throw. */
export async function prepareStudent(student: Model, {opset, target, side}: ModelOptions): Promise<Model> {
  const wanted: Target | undefined = target && targets[target];
  const versions = {
    opset: opset ?? wanted?.opset ?? student.opset,
    irVersion: opset === undefined ? wanted?.irVersion : undefined,
  };
  const moved = versions.opset === student.opset && !wanted ? student : toOpset(student, versions);
  return withInputShape(moved, {side});
}

/** A model in one precision. `student` is what `prepareStudent` gave. */
export async function makeModel(
  student: Model,
  precision: PrecisionName,
  options: ModelOptions,
  context: PrecisionContext,
): Promise<Precise> {
  const made = await precisions[precision].make(student, context);
  const notes = [...made.notes];
  let details: object = made.details;
  let model = await withInputShape(made.model, {batch: options.batch ?? (options.target && targets[options.target].batch)});
  model.metadata.set('gpd.precision', precision);
  if (options.embed) {
    const {recipe} = options.embed;
    const resizer = chooseResizer(model, options);
    const embedded = embedPreprocessing(model, {recipe, resizer});
    model = embedded.model;
    model.metadata.set('gpd.preprocessing', JSON.stringify({...recipe, resizer, side: embedded.details.geometry.crop}));
    notes.push(...embedded.notes);
    details = {...details, preprocessing: embedded.details};
  }
  if (options.answers) model = addAnswers(model, options.answers);
  if (options.target) checkTarget(model, options.target);
  return {model, notes, details};
}

/** A target that wants the Resize node gets it where the opset has it. */
function chooseResizer({opset}: Model, {embed, target}: ModelOptions): ResizerName {
  if (embed!.resizer) return embed!.resizer;
  const wanted = target ? resizerFor(target) : 'matrices';
  return opset >= resizers[wanted].since ? wanted : 'matrices';
}
