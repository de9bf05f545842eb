/** Which file each form is written to. */
import {statSync} from 'node:fs';
import {basename, extname, join, resolve} from 'node:path';
import type {Emit} from '../convert/build.js';
import type {WeightsFormatName} from '../convert/write.js';

/** Added to the name when the form is not the student. */
const formSuffixes: Record<Emit, string> = {
  student: '',
  teacher: '.teacher',
  'training-student': '.training-student',
  'training-teacher': '.training-teacher',
};
/** Never the bare extension: `.pth` may be the checkpoint itself. */
const weightsSuffixes: Record<WeightsFormatName, string> = {safetensors: '.deployed.safetensors', pth: '.deployed.pth'};
export const weightsFormatNames = Object.keys(weightsSuffixes) as WeightsFormatName[];

const CHECKPOINT_EXTENSION = /(\.(pth|pt|th|ckpt|bin|safetensors|tar|index\.json))+$/i;

/** `models/resnet18_dkd_gpd.pth.tar` → `resnet18_dkd_gpd`; a folder has its own name, `.` too. */
export function stemOf(checkpoint: string): string {
  const name = basename(resolve(checkpoint));
  return name.replace(CHECKPOINT_EXTENSION, '') || name;
}

export interface OutputPlan {
  outputs: Partial<Record<Emit, string>>;
  weights: Partial<Record<WeightsFormatName, string>>;
}

/**
 * Without `output`: named after the checkpoint, in the current folder. With a folder (it exists, or ends with a slash): named so in
 * it. Else `output` is the file where there is only one; of several it is the student's, and the others get their suffix before
 * the extension.
 */
export function planOutputs(
  checkpoint: string,
  wanted: {emits: readonly Emit[]; weights: readonly WeightsFormatName[]},
  output?: string,
): OutputPlan {
  const {emits, weights} = wanted;
  const named = output !== undefined && !isFolder(output);
  if (named && emits.length + weights.length === 1) {
    return {outputs: toOne(emits, output), weights: toOne(weights, output)};
  }
  const extension = named ? extname(output) : '.onnx';
  const stem = named ? output.slice(0, output.length - extension.length) : join(output ?? '', stemOf(checkpoint));
  return {
    outputs: Object.fromEntries(emits.map((emit) => [emit, `${stem}${formSuffixes[emit]}${extension}`])),
    weights: Object.fromEntries(weights.map((format) => [format, `${stem}${weightsSuffixes[format]}`])),
  };
}

const toOne = <K extends string>(keys: readonly K[], path: string): Partial<Record<K, string>> =>
  Object.fromEntries(keys.map((key) => [key, path])) as Partial<Record<K, string>>;

/** Whether a path that was given as output names a folder: it is one, or ends with a slash. */
export function isFolder(path: string): boolean {
  if (/[/\\]$/.test(path)) return true;
  try {
    return statSync(path, {throwIfNoEntry: false})?.isDirectory() ?? false;
  } catch {
    return false; // no file can have this name: `checkOutput` says so
  }
}
