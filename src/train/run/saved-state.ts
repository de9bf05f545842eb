/** Which saved state a run goes on from, and what to do where that file is damaged. */
import {fileSource} from '../../core/bytes.js';
import {GpdError} from '../../core/error.js';
import {shellWord} from '../../core/shell.js';
import {decidingDifferences, readConfig, resolveOptions} from '../options/config.js';
import type {TrainOptions} from '../options/options.js';
import type {NamedTensors} from '../step/parameters/named-tensors.js';
import type {OptimizerSettings} from '../step/parameters/optimizer-state.js';
import type {InitialState} from '../step/step-config.js';
import {readCheckpoint, type Saved} from './checkpoint.js';
import {type Position, whyNotPosition} from './position.js';
import type {RunDirectory} from './run-directory.js';

export interface SavedRun {
  readonly state: InitialState;
  readonly position: Position;
}

export interface StateReader {
  readonly directory: RunDirectory;
  /** Names, shapes and dtypes of the weights. */
  readonly like: NamedTensors;
  readonly settings: OptimizerSettings;
  readonly stepsPerEpoch: number;
  /** At its beginning. */
  readonly fresh: Position;
}

/** Throws what is wrong with the file. */
function readState(path: string, {like, settings, stepsPerEpoch, fresh}: StateReader): SavedRun {
  const {state, position, epoch = -1}: Saved = readCheckpoint(fileSource(path, {links: 'hard'}), like, settings);
  // the original's checkpoints say which epoch they are of, and no more
  if (!position) return {state, position: {...fresh, epoch: epoch + 1, steps: (epoch + 1) * stepsPerEpoch}};
  const problem = whyNotPosition(position, stepsPerEpoch);
  if (problem === undefined) return {state, position};
  throw new GpdError('STATE_MISMATCH', `${path}: ${problem}`, {
    at: path,
    hint: 'compare --batch-size and --data with the run’s',
  });
}

/** Of the end of the last epoch. Undefined where none was finished. */
export const lastState = (reader: StateReader): SavedRun | undefined =>
  reader.directory.has('last') ? readOrAdvise(['last'], reader)[0] : undefined;

/** Of the end of the last epoch, or of within the next. Undefined where the run has saved nothing. */
export function newestState(reader: StateReader): SavedRun | undefined {
  const there = (['step', 'last'] as const).filter((name) => reader.directory.has(name));
  return readOrAdvise(there, reader).sort((a, b) => b.position.steps - a.position.steps)[0];
}

/** Throws STATE_MISMATCH where `saved` is of another run than `own`, which has these options. `at` is the folder. */
export function refuseOtherRun(saved: Position, own: Position, options: TrainOptions, at: string): void {
  const before = resolveOptions([readConfig(saved.config, `${at}, the configuration in its checkpoint`)]);
  const changed = decidingDifferences(before, options).filter((name) => name !== 'epochs');
  const isOtherSet = saved.digest !== undefined && saved.digest !== own.digest;
  if (changed.length === 0 && saved.images === own.images && !isOtherSet) return;
  const what =
    changed.length > 0
      ? `another ${changed.join(', ')}`
      : saved.images === own.images
        ? `${saved.images} other images: names or labels differ`
        : `${saved.images} images, not ${own.images}`;
  throw new GpdError('STATE_MISMATCH', `${at}: the run was begun with ${what}`, {
    at,
    hint:
      changed.length > 0
        ? 'repeat its own options (config.yaml has them), or start another run with --out'
        : 'give it the same images (those that unreadable.jsonl lists may be gone), or start another run with --out',
  });
}

function readOrAdvise(names: readonly ('step' | 'last')[], reader: StateReader): SavedRun[] {
  const paths = names.map(reader.directory.file);
  const outcomes = paths.map((path) => attempt(path, reader));
  const failed = outcomes.flatMap((outcome, i) => ('error' in outcome ? [{path: paths[i]!, error: outcome.error}] : []));
  if (failed.length === 0) return outcomes.flatMap((outcome) => ('state' in outcome ? [outcome] : []));
  const {path, error} = failed[0]!;
  if (!isDamage(error)) throw error;
  const damaged = failed.map((one) => one.path);
  throw new GpdError(error.code, error.message.startsWith(path) ? error.message : `${path}: ${error.message}`, {
    at: error.at ?? path,
    hint: advice(damaged, paths.find((one) => !damaged.includes(one)) ?? newestGood(reader), reader.directory),
    cause: error,
  });
}

function attempt(path: string, reader: StateReader): SavedRun | {readonly error: GpdError} {
  try {
    return readState(path, reader);
  } catch (error) {
    if (error instanceof GpdError) return {error};
    throw error;
  }
}

/** A whole file of another run is none. */
const isDamage = ({code}: GpdError): boolean => code !== 'STATE_MISMATCH' && code !== 'SHAPE_MISMATCH';

/** The newest other checkpoint that can be read from end to end. */
const newestGood = (reader: StateReader): string | undefined =>
  reader.directory.otherCheckpoints().find((path) => !('error' in attempt(path, reader)));

/** The commands that go on from `good`. */
function advice(damaged: readonly string[], good: string | undefined, directory: RunDirectory): string {
  if (good === undefined) {
    return `no other checkpoint in ${directory.path} can be read: copy the file again, or start another run with --out`;
  }
  const goesOn = good === directory.file('last') || good === directory.file('step');
  const commands = [
    ...damaged.map((path) => `mv ${shellWord(path)} ${shellWord(`${path}.damaged`)}`),
    ...(goesOn ? [] : [`cp ${shellWord(good)} ${shellWord(directory.file('last'))}`]),
    `gpd train --out ${shellWord(directory.path)} --resume`,
  ];
  return `${good} is whole: go on from it with ${commands.join(' && ')}`;
}
