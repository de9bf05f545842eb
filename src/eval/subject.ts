/** What is evaluated: an ONNX file as it is, or a network in memory. Both take images and give logits. */

import {basename, dirname} from 'node:path';
import {fileSource} from '../core/bytes.js';
import {GpdError} from '../core/error.js';
import {formatShape} from '../core/tensor.js';
import {familyNamed} from '../models/families/index.js';
import {classTable, classTableWarnings} from '../onnx/class-table.js';
import {decodeModel} from '../onnx/decode.js';
import {externalFilesIn} from '../onnx/external-data.js';
import {readGpd} from '../onnx/gpd-metadata.js';
import type {Model} from '../onnx/graph.js';
import {macsOf} from '../onnx/macs.js';
import {openSession, type Session, type SessionOptions} from '../onnx/session.js';
import {unsteadyWarnings} from '../onnx/unsteady.js';
import {countWeights} from '../onnx/weights.js';
import {checkBatch} from './batch-limit.js';
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
  input: {
    name: string;
    /** Pixels a side. */
    side: number;
    /** Undefined: any. */
    batch: number | undefined;
    /** 'uint8': photographs [N, H, W, 3] of any size, which the model prepares itself for a network of that side. */
    dtype: 'float32' | 'float16' | 'uint8';
  };
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

function refuse(path: string, problem: string, hint: string): never {
  throw new GpdError('SHAPE_MISMATCH', `${path}: ${problem}`, {at: path, hint});
}

/** Pixels a side that a network behind its own preparation takes, as `gpd export` writes it into the metadata. */
function preparedSide({metadata}: Model): number | undefined {
  const side = readGpd(metadata, 'preprocessing')?.['side'];
  return typeof side === 'number' ? side : undefined;
}

/** What the images are: [N, 3, S, S] as float32 or float16, or photographs [N, H, W, 3]. */
function imagesOf(path: string, model: Model): Subject['input'] {
  const [input, ...others] = model.graph.inputs;
  if (!input || others.length > 0)
    refuse(path, `has ${model.graph.inputs.length} inputs`, 'a classifier with one input, the images, is expected');
  const {name, dtype, shape = []} = input;
  const [first, channels, height, width] = shape;
  const batch = typeof first === 'number' ? first : undefined;
  const isSquare = shape.length === 4 && channels === 3 && typeof height === 'number' && height === width;
  if (isSquare && (dtype === 'float32' || dtype === 'float16')) return {name, side: height, batch, dtype};
  const side = preparedSide(model);
  if (dtype === 'uint8' && width === 3 && side !== undefined) return {name, side, batch, dtype};
  const found = `${dtype}${formatShape(shape)}`;
  if (shape.length === 4 && typeof channels === 'number' && height === width && dtype !== 'uint8') {
    const problem = `input '${name}' is ${found}: images of ${channels} channel${channels === 1 ? '' : 's'}`;
    return refuse(
      path,
      problem,
      'images are read in three colours: give a network for these; gpd convert and inspect take others too',
    );
  }
  return refuse(path, `input '${name}' is ${found}`, 'images are given as float32[N, 3, S, S], S a fixed number');
}

/** Images in, [N, classes] out. Throws SHAPE_MISMATCH for anything else. */
function interfaceOf(path: string, model: Model): Pick<Subject, 'input' | 'output' | 'classes'> {
  const {graph} = model;
  const logits = classTable(model);
  if (!logits) {
    const found = graph.outputs.map((v) => `'${v.name}' ${formatShape(v.shape ?? [])}`).join(', ');
    refuse(path, `no output is a table of logits: ${found}`, 'an output [N, classes] is expected');
  }
  const input = imagesOf(path, model);
  checkBatch(input.batch ?? 1, input.side, path);
  return {input, output: logits.name, classes: logits.shape![1] as number};
}

function sizeOf({graph}: Model, fileBytes: number | undefined): SubjectSize {
  const weights = countWeights(graph);
  const operators = new Map<string, number>();
  for (const {opType} of graph.nodes) operators.set(opType, (operators.get(opType) ?? 0) + 1);
  return {
    nodes: graph.nodes.length,
    parameters: weights.parameters,
    weightBytes: weights.bytes,
    fileBytes,
    macs: macsOf(graph).macs,
    operators: [...operators].sort((a, b) => b[1] - a[1] || a[0].localeCompare(b[0])),
  };
}

const warningsOf = (model: Model): string[] => [...classTableWarnings(model), ...unsteadyWarnings(model)];

/** An ONNX file. Throws the codes of reading it, and SHAPE_MISMATCH if it is no classifier of images. */
export function subjectOfFile(path: string): Subject {
  const external = externalFilesIn(dirname(path));
  const source = fileSource(path);
  const model = decodeModel(source, {openExternal: external.open});
  const size = sizeOf(model, source.size + external.size());
  const storedBytes = (source.stored ?? source.size) + external.stored();
  expectWeights(path, size.weightBytes, storedBytes);
  return {
    name: basename(path),
    path,
    form: 'onnx',
    ...interfaceOf(path, model),
    size,
    storedBytes,
    family: familyNamed(readGpd(model.metadata, 'arch') ?? '')?.name,
    without: [...(readGpd(model.metadata, 'without') ?? [])],
    normalises: readGpd(model.metadata, 'normalisation') !== undefined,
    warnings: warningsOf(model),
    metadata: model.metadata,
    model: () => model,
    open: (options) => openSession(path, {...options, file: path}),
  };
}

/** A network in memory, made of the checkpoint at `path`. Its bytes are made when a session is opened, and not kept. */
export function subjectOfModel(
  path: string,
  form: 'student' | 'teacher',
  model: Model,
  family?: string,
  without: readonly string[] = [...(readGpd(model.metadata, 'without') ?? [])],
): Subject {
  const size = sizeOf(model, undefined);
  return {
    name: `${basename(path)} (${form})`,
    path,
    form,
    ...interfaceOf(path, model),
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
