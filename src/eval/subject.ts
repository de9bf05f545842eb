/** What is evaluated: an ONNX file as it is, or a network in memory. Both take images and give logits. */

import {basename, dirname} from 'node:path';
import {fileSource} from '../core/bytes.js';
import {GpdError} from '../core/error.js';
import {familyNamed} from '../models/families/index.js';
import {classTableWarnings} from '../onnx/class-table.js';
import {cloneModel} from '../onnx/clone-model.js';
import {decodeModel} from '../onnx/decode.js';
import {externalFilesIn} from '../onnx/external-data.js';
import {readGpd} from '../onnx/gpd-metadata.js';
import type {Model} from '../onnx/graph.js';
import {macsOf} from '../onnx/macs.js';
import {openSession, type Session, type SessionOptions} from '../onnx/session.js';
import {unsteadyWarnings} from '../onnx/unsteady.js';
import {countWeights} from '../onnx/weights.js';
import {declaredOutput, giveInner, measureOutputs} from './class-output.js';
import {type ImageInput, imageInputOf, shapeOf, withoutEmptyBatch} from './image-input.js';
import {expectWeights} from './memory-limit.js';
import {openModel} from './open-model.js';

/** `student` and `teacher` are training forms made of a checkpoint; `onnx` is a file as it is. */
export type SubjectForm = 'onnx' | 'student' | 'teacher';

/** How large the graph is, for the picture of before and after. */
export interface SubjectSize {
  nodes: number;
  /** Numbers of all weights, floats or integers. */
  parameters: number;
  /** As stored. */
  weightBytes: number;
  /** Of the file, with the files of weights beside it; undefined for a network in memory. */
  fileBytes: number | undefined;
  /** Multiply-accumulates for one image. */
  macs: number;
  /** Nodes by operator, most frequent first. */
  operators: [operator: string, nodes: number][];
}

export interface Subject {
  /** Unique in a run: what tables and gates call it. */
  name: string;
  path: string;
  form: SubjectForm;
  input: ImageInput;
  output: string;
  classes: number;
  size: SubjectSize;
  /** Of what explains the memory that it takes: what lies on the disk of it, or its weights in memory. */
  storedBytes: number;
  /** `resnet`, `rvt`, …: says how images are prepared. Undefined where nothing tells it. */
  family: string | undefined;
  /** Whether it normalises its images itself: they are given between 0 and 1. */
  normalises: boolean;
  /** Tensors of the checkpoint that were left out by name: what is measured is the network without them. */
  without: readonly string[];
  /** What else must be known to read its numbers: weights left out, outputs chosen, answers that are not repeatable. Sentences. */
  warnings: readonly string[];
  /** Of the conversion that made an ONNX file: arch, form, … (`gpd.*` in its metadata). */
  metadata: ReadonlyMap<string, string>;
  /** The graph, for MACs and layers. Numbers stay in the file. */
  model(): Model;
  open(options: SessionOptions): Promise<Session>;
}

/** For one image of the size that it is given: a graph for any size leaves it open. */
const macsFor = (model: Model, input: ImageInput): number =>
  macsOf(input.anySize ? cloneModel(model, () => shapeOf(input, 1)).graph : model.graph).macs;

/** The same model on images of another size, which it says that it takes. */
export function atSide(subject: Subject, side: number): Subject {
  if (side === subject.input.side) return subject;
  const input = {...subject.input, side};
  return {...subject, input, size: {...subject.size, macs: macsFor(subject.model(), input)}};
}

function sizeOf(model: Model, input: ImageInput, fileBytes: number | undefined): SubjectSize {
  const {graph} = model;
  const weights = countWeights(graph);
  const operators = new Map<string, number>();
  for (const {opType} of graph.nodes) operators.set(opType, (operators.get(opType) ?? 0) + 1);
  return {
    nodes: graph.nodes.length,
    parameters: weights.parameters,
    weightBytes: weights.bytes,
    fileBytes,
    macs: macsFor(model, input),
    operators: [...operators].sort((a, b) => b[1] - a[1] || a[0].localeCompare(b[0])),
  };
}

const warningsOf = (model: Model, output?: string): string[] => [
  ...(output === undefined ? classTableWarnings(model) : []),
  ...unsteadyWarnings(model),
];

/** What a model leaves open, and the user says. */
export interface ModelChoices {
  /** Pixels a side, for a model that takes any. */
  imageSize?: number | undefined;
  /** The value that is its logits; default: the output that looks like them. It need not be an output. */
  outputName?: string | undefined;
  /** The model is only timed: any outputs do. Default false. */
  anyOutput?: boolean | undefined;
}

/** A file that was read, not yet judged. */
interface ReadFile {
  readonly path: string;
  readonly model: Model;
  readonly fileBytes: number;
  readonly weightBytes: number;
  readonly storedBytes: number;
  /** What was changed in the model, so that it is made anew for a session. Sentences; empty: the file runs as it is. */
  readonly changes: readonly string[];
}

function readFile(path: string, {outputName}: ModelChoices): ReadFile {
  const external = externalFilesIn(dirname(path));
  const source = fileSource(path);
  const model = decodeModel(source, {openExternal: external.open});
  const emptied = withoutEmptyBatch(model);
  const redirected = outputName !== undefined && giveInner(model, outputName);
  const weightBytes = countWeights(model.graph).bytes;
  const storedBytes = (source.stored ?? source.size) + external.stored();
  expectWeights(path, weightBytes, storedBytes);
  const inner = redirected ? [`'${outputName}', which is no output of it, was asked for as its logits`] : [];
  const fileBytes = source.size + external.size();
  return {path, model, fileBytes, weightBytes, storedBytes, changes: [...(emptied ? [emptied] : []), ...inner]};
}

function openRead({path, model, weightBytes, changes}: ReadFile, options: SessionOptions): Promise<Session> {
  const own = {...options, file: path};
  return changes.length === 0 ? openSession(path, own) : openModel(model, weightBytes, own);
}

function subjectOfRead(read: ReadFile, {imageSize, outputName, anyOutput = false}: ModelChoices): Subject {
  const {path, model, fileBytes, storedBytes, changes} = read;
  const input = imageInputOf(path, model, imageSize);
  const {name: output, classes} = anyOutput
    ? {name: model.graph.outputs[0]!.name, classes: 0}
    : (declaredOutput(path, model, outputName) ?? refuseUnmeasured(path));
  return {
    name: basename(path),
    path,
    form: 'onnx',
    input,
    output,
    classes,
    size: sizeOf(model, input, fileBytes),
    storedBytes,
    family: familyNamed(readGpd(model.metadata, 'arch') ?? '')?.name,
    without: [...(readGpd(model.metadata, 'without') ?? [])],
    normalises: readGpd(model.metadata, 'normalisation') !== undefined,
    warnings: [...changes, ...choiceWarnings({input, output}, {imageSize, outputName}), ...warningsOf(model, outputName)],
    metadata: model.metadata,
    model: () => model,
    open: (options) => openRead(read, options),
  };
}

function refuseUnmeasured(path: string): never {
  throw new GpdError('SHAPE_MISMATCH', `${path}: only a run tells how many classes it has`, {
    at: path,
    hint: 'export it with the shapes of its outputs, or evaluate it: gpd eval runs it',
  });
}

/** What was asked for and does not apply. */
function choiceWarnings({input, output}: Pick<Subject, 'input' | 'output'>, {imageSize, outputName}: ModelChoices): string[] {
  const fixed = imageSize !== undefined && input.side !== imageSize;
  const other = outputName !== undefined && output !== outputName;
  return [
    ...(fixed ? [`it takes images of ${input.side} px alone: the image size ${imageSize} does not apply`] : []),
    ...(other ? [`it computes no '${outputName}': '${output}' is taken for its logits`] : []),
  ];
}

/** An ONNX file that declares its outputs. Throws the codes of reading it, and SHAPE_MISMATCH if it is no classifier of images. */
export const subjectOfFile = (path: string, choices: ModelChoices = {}): Subject =>
  subjectOfRead(readFile(path, choices), choices);

/** As `subjectOfFile`; where the outputs do not say their shapes, the model is run once. Throws ENGINE_FAILED where it does not run. */
export async function measuredSubject(path: string, choices: ModelChoices = {}): Promise<Subject> {
  const read = readFile(path, choices);
  const input = imageInputOf(path, read.model, choices.imageSize);
  if (!declaredOutput(path, read.model, choices.outputName)) {
    const session = await openRead(read, {optimize: 'disabled', arena: false});
    try {
      await measureOutputs(path, read.model, input, session);
    } finally {
      await session.close();
    }
  }
  return subjectOfRead(read, choices);
}

/** A network in memory, made of the checkpoint at `path`. Its bytes are made when a session is opened, and not kept. */
export function subjectOfModel(
  path: string,
  form: 'student' | 'teacher',
  model: Model,
  family?: string,
  without: readonly string[] = [...(readGpd(model.metadata, 'without') ?? [])],
): Subject {
  const input = imageInputOf(path, model);
  const size = sizeOf(model, input, undefined);
  const {name: output, classes} = declaredOutput(path, model) ?? refuseUnmeasured(path);
  return {
    name: `${basename(path)} (${form})`,
    path,
    form,
    input,
    output,
    classes,
    size,
    storedBytes: size.weightBytes,
    family,
    without,
    normalises: readGpd(model.metadata, 'normalisation') !== undefined,
    warnings: warningsOf(model),
    metadata: model.metadata,
    model: () => model,
    open: (options) => openModel(model, size.weightBytes, options),
  };
}

/** Names stay unique: the second file of a name gets its folder, then a number. */
export function distinguish(subjects: readonly Subject[]): Subject[] {
  const taken = new Set<string>();
  return subjects.map((subject) => {
    const candidates = [subject.name, subject.form === 'onnx' ? subject.path : `${subject.path} (${subject.form})`];
    const name = candidates.find((n) => !taken.has(n)) ?? firstFree(subject.name, taken);
    taken.add(name);
    return {...subject, name};
  });
}
function firstFree(name: string, taken: ReadonlySet<string>): string {
  for (let i = 2; ; i++) if (!taken.has(`${name} #${i}`)) return `${name} #${i}`;
}
