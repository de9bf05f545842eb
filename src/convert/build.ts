/** The ONNX models that can be made of a recognised checkpoint, in memory. */
import type {Recognised, RecogniseOptions} from '../models/recognise.js';
import {type TrainingFormOptions, trainingForm} from '../models/training-form.js';
import type {Model} from '../onnx/graph.js';
import {type PassReport, runPasses} from '../onnx/pass.js';
import {minimalPasses, readInPart} from '../onnx/passes/index.js';
import type {Role} from '../reparam/parameters.js';

/** THE table of forms. A training form is the network as it was trained, nothing merged; the others are minimal. */
export const emits = {
  student: {role: 'student', minimal: true},
  teacher: {role: 'teacher', minimal: true},
  'training-student': {role: 'student', minimal: false},
  'training-teacher': {role: 'teacher', minimal: false},
} as const satisfies Record<string, {role: Role; minimal: boolean}>;
/** A form of a network as an ONNX model: minimal, or as it was trained. */
export type Emit = keyof typeof emits;
/** Names of all forms. */
export const emitNames = Object.keys(emits) as Emit[];

/** The first ONNX opset that can be written. */
export const MIN_OPSET = 13;
/** The last ONNX opset that can be written. */
export const MAX_WRITTEN_OPSET = 23;
/** The first opset with Gelu; every current runtime reads it. */
export const DEFAULT_OPSET = 20;

/** How the ONNX model of a form looks. */
export interface NetworkOptions extends RecogniseOptions {
  /** ONNX opset, 13 to 23. Default 20. */
  opset?: number | undefined;
  /** A fixed batch size; default: dynamic, named N. */
  batch?: number | undefined;
  inputName?: string | undefined;
  outputName?: string | undefined;
}

const formOptions = (role: Role, r: Recognised, o: NetworkOptions): TrainingFormOptions => ({
  role,
  imageSize: r.imageSize,
  opset: o.opset ?? DEFAULT_OPSET,
  batch: o.batch,
  ...(o.inputName !== undefined && {inputName: o.inputName}),
  ...(o.outputName !== undefined && {outputName: o.outputName}),
});

/** One form. `passes` is empty for a training form. Throws WEIGHTS_NOT_FINITE. */
export async function buildModel(
  r: Recognised,
  emit: Emit,
  options: NetworkOptions = {},
): Promise<{model: Model; passes: PassReport[]}> {
  const {role, minimal} = emits[emit];
  const model = trainingForm(r.arch, r.stateDict, r.form, formOptions(role, r, options));
  return {model, passes: minimal ? await runPasses(model, minimalPasses) : []};
}

/** What minimal forms are proven against: the training form, any batch, reading no more of the checkpoint than its role uses. */
export async function referenceForm(r: Recognised, role: Role, options: NetworkOptions): Promise<Model> {
  const model = trainingForm(r.arch, r.stateDict, r.form, {...formOptions(role, r, options), batch: undefined});
  await runPasses(model, [readInPart]);
  return model;
}
