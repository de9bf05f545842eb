/** What a run needs before its first step: networks, initial weights and the static teacher, from the options and the files they name. */

import type {Checkpoint} from '../../checkpoint/checkpoint.js';
import {checkpointSource} from '../../checkpoint/checkpoint-source.js';
import {openCheckpoint} from '../../checkpoint/open.js';
import type {StateDictChoice} from '../../checkpoint/state-dicts.js';
import {GpdError} from '../../core/error.js';
import type {StateDict} from '../../core/tensor.js';
import {archs} from '../../models/families/index.js';
import {type Architecture, channelsOf} from '../../models/layers.js';
import {type Recognised, recognise} from '../../models/recognise.js';
import {staticTeacherOf} from '../options/config.js';
import type {TrainOptions} from '../options/options.js';
import {activeLosses} from '../step/losses/index.js';
import type {NamedTensors} from '../step/parameters/named-tensors.js';
import type {StaticTeacher, StepConfig} from '../step/step-config.js';
import {readWeights} from './checkpoint.js';
import {type Initial, initialState} from './initial-state.js';
import {stepConfigOf} from './step-settings.js';

const readAll = (dict: StateDict): NamedTensors => new Map([...dict].map(([key, source]) => [key, source.read()]));

/** A network from a file, its tensors in memory. */
function readNetwork(
  path: string,
  options: StateDictChoice & {arch: string; imageSize: number},
): {network: Recognised; state: NamedTensors; notes: string[]} {
  const checkpoint = openCheckpoint(checkpointSource(path), options);
  try {
    const {arch, imageSize} = options;
    const network = recognise(checkpoint.stateDict, checkpoint.args, {arch, imageSize});
    if (network.arch.normalisation) throw normalisesImages(path);
    if (channelsOf(network.arch) !== 3) throw takesOtherImages(path, channelsOf(network.arch));
    return {network, state: readAll(network.stateDict), notes: notesOf(path, checkpoint)};
  } finally {
    checkpoint.close();
  }
}

const normalisesImages = (path: string) =>
  new GpdError('CONFIG_INVALID', `${path} normalises its images itself, and training prepares them for networks that do not`, {
    at: path,
    hint: 'take the weights without their normalisation: save them again under the names of the network alone',
  });

const takesOtherImages = (path: string, channels: number) =>
  new GpdError('CONFIG_INVALID', `${path} takes images of ${channels} channel${channels === 1 ? '' : 's'}`, {
    at: path,
    hint: 'training reads images in three colours: take weights of a network for these',
  });

/** What must be said of the weights that were read. */
const notesOf = (path: string, {warnings}: Checkpoint): string[] => warnings.map((text) => `${path}: ${text}`);

/** The choice of one of the files that a run starts from, and what its options are called. */
const choiceOf = (o: TrainOptions, of: 'pretrained' | 'initial' | 'teacher'): StateDictChoice => ({
  ...(of !== 'teacher' && {ema: o[`${of}-ema`]}),
  key: o[`${of}-key`] ?? undefined,
  flags: {key: `--${of}-key`, ...(of !== 'teacher' && {ema: `--${of}-ema`})},
});

function checkClasses(path: string, found: Architecture, classes: number): void {
  if (found.classes === classes) return;
  throw new GpdError('SHAPE_MISMATCH', `${path} tells ${found.classes} classes apart, the training images have ${classes}`, {
    at: path,
    hint: 'use weights that were trained on these classes',
  });
}

function teacherOf(o: TrainOptions, student: Architecture, notes: string[]): StaticTeacher | undefined {
  const given = staticTeacherOf(o);
  if (!given) return undefined;
  const imageSize = o['image-size'];
  const {network, state, notes: own} = readNetwork(given.path, {...choiceOf(o, 'teacher'), arch: given.arch, imageSize});
  notes.push(...own);
  checkClasses(given.path, network.arch, student.classes);
  return {
    arch: network.arch,
    form: network.form,
    state,
    losses: activeLosses(o.kd ?? [], o, {student, teacher: network.arch, imageSize}),
  };
}

/** Without the classifier where the classes are others, or where that is asked for: it is drawn anew. */
function pretrainedOf(o: TrainOptions, arch: Architecture, notes: string[]): NamedTensors | undefined {
  if (o.pretrained === null) return undefined;
  const options = {...choiceOf(o, 'pretrained'), arch: arch.name, imageSize: o['image-size']};
  const {network, state, notes: own} = readNetwork(o.pretrained, options);
  notes.push(...own);
  const {classes, last} = network.arch;
  const isNew = o['new-head'] || classes !== arch.classes;
  if (isNew) {
    const why =
      classes === arch.classes ? '--new-head' : `it tells ${classes} classes apart, the training images have ${arch.classes}`;
    notes.push(`${o.pretrained}: its classifier '${last}' is drawn anew (${why}), everything else is taken`);
  }
  if (network.kind === 'plain') return isNew ? new Map([...state].filter(([name]) => !name.startsWith(`${last}.`))) : state;
  throw new GpdError('CONFIG_INVALID', `${o.pretrained} is no plain network but a ${network.kind} one`, {
    at: o.pretrained,
    hint: 'give the whole widened network with --initial',
  });
}

export interface StartingPoint {
  readonly config: StepConfig;
  readonly initial: Initial;
  /** What must be said of the files that it was read from. */
  readonly notes?: readonly string[];
}

export function startingPoint(o: TrainOptions, classes: number): StartingPoint {
  const arch = archs[o.arch].build(classes);
  const imageSize = o['image-size'];
  const refusal = arch.refuses(imageSize);
  if (refusal !== undefined) throw new GpdError('CONFIG_INVALID', refusal, {hint: 'choose another --image-size'});
  const notes: string[] = [];
  const staticTeacher = teacherOf(o, arch, notes);
  const drawn = initialState({
    ...{arch, imageSize, ratio: o.ratio, orepa: o.orepa, seed: o.seed, compat: o.compat},
    pretrained: pretrainedOf(o, arch, notes),
    connectors: staticTeacher?.losses.flatMap(({connectors}) => connectors ?? []),
  });
  const initial =
    o.initial === null
      ? drawn
      : {...drawn, state: readWeights(checkpointSource(o.initial), drawn.state, choiceOf(o, 'initial'))};
  return {initial, notes, config: stepConfigOf(o, {arch, initial, staticTeacher})};
}
