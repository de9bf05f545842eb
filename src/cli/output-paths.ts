/** Which file each form is written to. */
import {statSync} from 'node:fs';
import {basename, extname, join} from 'node:path';
import type {Emit} from '../convert/build.js';

/** Added to the name when the form is not the student. */
const suffixes: Record<Emit, string> = {
  student: '',
  teacher: '.teacher',
  'training-student': '.training-student',
  'training-teacher': '.training-teacher',
};

const CHECKPOINT_EXTENSION = /(\.(pth|pt|th|ckpt|bin|safetensors|tar))+$/i;

/** `models/resnet18_dkd_gpd.pth.tar` → `resnet18_dkd_gpd`. */
export function stemOf(checkpoint: string): string {
  const name = basename(checkpoint);
  return name.replace(CHECKPOINT_EXTENSION, '') || name;
}

/**
 * Without `output`: named after the checkpoint, in the current folder. With a folder (it exists, or ends with a slash): named so in
 * it. Else `output` is the file; of several forms it is the student's, and the others get their suffix before the extension.
 */
export function outputPaths(checkpoint: string, emits: readonly Emit[], output?: string): Partial<Record<Emit, string>> {
  if (output === undefined || isFolder(output)) {
    const stem = join(output ?? '', stemOf(checkpoint));
    return Object.fromEntries(emits.map((emit) => [emit, `${stem}${suffixes[emit]}.onnx`]));
  }
  if (emits.length === 1) return {[emits[0]!]: output};
  const extension = extname(output);
  const stem = output.slice(0, output.length - extension.length);
  return Object.fromEntries(emits.map((emit) => [emit, `${stem}${suffixes[emit]}${extension}`]));
}

const isFolder = (path: string): boolean =>
  /[/\\]$/.test(path) || (statSync(path, {throwIfNoEntry: false})?.isDirectory() ?? false);
