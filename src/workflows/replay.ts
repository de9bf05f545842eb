/** `gpd train --replay`: a folder of reference numbers in, a trace (and on request gradients and final tensors) out. */
import {existsSync} from 'node:fs';
import {join} from 'node:path';
import {openCheckpoint} from '../checkpoint/open.js';
import {writeSafetensors} from '../checkpoint/write-safetensors.js';
import {fileSource, readText} from '../core/bytes.js';
import {GpdError} from '../core/error.js';
import {checkOutput, writeAtomically} from '../core/output.js';
import {type StateDict, sourceOf} from '../core/tensor.js';
import type {BackendName} from '../tfjs/backend/select-backend.js';
import type {FloatPrecision} from '../tfjs/lowering/value.js';
import type {ReplayFiles, TracedStep} from '../train/replay/replay.js';
import type {Json} from '../train/replay/replay-settings.js';
import type {Compat} from '../train/step/compat.js';
import type {NamedTensors} from '../train/step/parameters/named-tensors.js';
import type {TrainerState} from '../train/step/step-config.js';

export interface ReplayRequest {
  readonly folder: string;
  readonly compat: Compat;
  readonly backend: BackendName | 'auto';
  /** Default: float64 where the backend has it, which native TensorFlow does not. */
  readonly precision?: FloatPrecision | undefined;
  /** Where the numbers of every step go, as JSON. */
  readonly trace: string;
  /** Where the gradients of the first step go, before clipping, as safetensors. */
  readonly grads?: string | undefined;
  /** Where weights (`model.`), moving averages (`ema.`) and the static teacher's statistics (`teacher.`) of the end go. */
  readonly final?: string | undefined;
  readonly force: boolean;
}

export interface ReplayReport {
  readonly backend: string;
  readonly precision: FloatPrecision;
  readonly steps: readonly TracedStep[];
}

/** Both name the same run; the first has its numbers in float64. */
const TRAJECTORIES = ['trajectory64.json', 'trajectory.json'];
/** A few hundred bytes a step: far more steps than are replayed. */
const MAX_TRAJECTORY_BYTES = 64 * 2 ** 20;

function readTrajectory(folder: string): Json {
  const name = TRAJECTORIES.find((file) => existsSync(join(folder, file)));
  if (!name) {
    throw new GpdError('FILE_UNREADABLE', `${folder} has neither ${TRAJECTORIES.join(' nor ')}`, {
      at: folder,
      hint: 'give a folder with trajectory64.json, init.pth.tar and batches.safetensors',
    });
  }
  const path = join(folder, name);
  const text = readText(fileSource(path), MAX_TRAJECTORY_BYTES);
  try {
    return JSON.parse(text) as Json;
  } catch (cause) {
    throw new GpdError('CONFIG_INVALID', `${path} is not JSON: ${(cause as Error).message}`, {at: path, cause});
  }
}

export function readReplayFolder(folder: string): ReplayFiles {
  const stateDict = (name: string): StateDict => openCheckpoint(fileSource(join(folder, name))).stateDict;
  const hasTeacher = existsSync(join(folder, 'teacher.pth'));
  return {
    trajectory: readTrajectory(folder),
    initial: stateDict('init.pth.tar'),
    batches: stateDict('batches.safetensors'),
    ...(hasTeacher && {teacher: stateDict('teacher.pth')}),
  };
}

const writeTensors = (path: string, tensors: NamedTensors, replace: boolean): void =>
  writeAtomically(path, (write) => writeSafetensors(new Map([...tensors].map(([key, t]) => [key, sourceOf(t)])), write), {
    replace,
  });

/** Everything that training changed, in one file. */
export function finalTensors({model, ema, staticTeacher}: TrainerState): NamedTensors {
  const under = (prefix: string, tensors: NamedTensors = new Map()) =>
    [...tensors].map(([key, t]) => [prefix + key, t] as const);
  const statistics = new Map([...(staticTeacher ?? [])].filter(([key]) => /\.(running_|num_batches)/.test(key)));
  return new Map([...under('model.', model), ...under('ema.', ema), ...under('teacher.', statistics)]);
}

const noFloat64 = (backend: string) =>
  new GpdError('PROVIDER_UNAVAILABLE', `the backend ${backend} computes in float32 alone`, {
    hint: 'take --backend onnxruntime or cpu',
  });

export async function replayFolder(request: ReplayRequest): Promise<ReplayReport> {
  const {folder, compat, trace, grads, final, force} = request;
  for (const path of [trace, grads, final]) if (path) checkOutput(path, {force, inputs: [folder]});
  const files = readReplayFolder(folder);
  const {selectBackend} = await import('../tfjs/backend/select-backend.js');
  const wanted = request.precision ?? 'float64';
  const {name: backend} = await selectBackend(request.backend, {precision: wanted});
  const precision = backend === 'tensorflow' ? 'float32' : wanted;
  if (request.precision === 'float64' && precision === 'float32') throw noFloat64(backend);
  const {replay} = await import('../train/replay/replay.js');
  const result = await replay(files, {compat, ...(grads && {onGradients: (tensors) => writeTensors(grads, tensors, force)})});
  const report = {backend, precision, steps: result.steps};
  const text = `${JSON.stringify(report, null, 2)}\n`;
  writeAtomically(trace, (write) => write(new TextEncoder().encode(text)), {replace: force});
  if (final) writeTensors(final, finalTensors(result.final), force);
  return report;
}
