/** A run's checkpoint: the original saver's layout, which its loader and ours read, and beside it where exactly the run was. */
import type {Sink} from '../../checkpoint/byte-writer.js';
import type {Checkpoint} from '../../checkpoint/checkpoint.js';
import {openCheckpoint} from '../../checkpoint/open.js';
import {isMap, isTensor, type PlainData} from '../../checkpoint/plain-data.js';
import type {StateDictChoice} from '../../checkpoint/state-dicts.js';
import {float, type Writable} from '../../checkpoint/write-pickle.js';
import {orderedStateDict, saverLayout, writeTorch} from '../../checkpoint/write-torch.js';
import type {ByteSource} from '../../core/bytes.js';
import {GpdError} from '../../core/error.js';
import {parseJson, SchemaError} from '../../core/schema.js';
import {type StateDict, sourceOf, type Tensor, toFloat32} from '../../core/tensor.js';
import {familyNamed} from '../../models/families/index.js';
import type {TrainOptions} from '../options/options.js';
import {originalArch, originalArgs} from '../options/original-args.js';
import type {NamedTensors} from '../step/parameters/named-tensors.js';
import {decodeOptimizer, encodeOptimizer, type OptimizerSettings} from '../step/parameters/optimizer-state.js';
import type {InitialState, TrainerState} from '../step/step-config.js';
import {type Position, savedPosition} from './position.js';

/** Entries that the original does not have. */
const POSITION = 'gpd_position';
const STATIC_TEACHER = 'gpd_static_teacher';

const asStateDict = (tensors: NamedTensors): StateDict => new Map([...tensors].map(([key, t]) => [key, sourceOf(t)]));

/** timm's loss scaler as it starts: this trainer computes in float32 and never scales. RVT's loader asks for it. */
const ampScaler: Writable = new Map<string, Writable>([
  ['scale', float(65536)],
  ['growth_factor', float(2)],
  ['backoff_factor', float(0.5)],
  ['growth_interval', 2000],
  ['_growth_tracker', 0],
]);

export interface CheckpointContents {
  readonly state: TrainerState;
  readonly position: Position;
  readonly options: TrainOptions;
  readonly settings: OptimizerSettings;
  /** The rate of the last step. */
  readonly lr: number;
  /** Percent. */
  readonly metric: number | undefined;
}

export function writeCheckpoint({state, position, options, settings, lr, metric}: CheckpointContents, sink: Sink): void {
  const more = new Map<string, Writable>([[POSITION, JSON.stringify(position)]]);
  if (state.staticTeacher) more.set(STATIC_TEACHER, orderedStateDict(asStateDict(state.staticTeacher)));
  writeTorch(
    saverLayout({
      epoch: position.step > 0 ? position.epoch : position.epoch - 1, // the original's: the epoch that was just finished
      arch: originalArch(options.arch),
      stateDict: asStateDict(state.model),
      optimizer: encodeOptimizer(state.optimizer, state.model, settings, lr),
      args: originalArgs(options),
      ...(familyNamed(options.arch)?.training === 'rvt' && {ampScaler}),
      ...(state.ema && {stateDictEma: asStateDict(state.ema)}),
      ...(metric !== undefined && {metric: float(metric)}),
      more,
    }),
    sink,
  );
}

/** Tensors in the names, shapes and dtypes of `like`. Half-precision files are widened. */
function tensorsLike(like: NamedTensors, dict: StateDict, name: string): NamedTensors {
  const unknown = [...dict.keys()].find((key) => !like.has(key));
  const missing = [...like.keys()].find((key) => !dict.has(key) && !key.endsWith('.num_batches_tracked'));
  const problem =
    missing !== undefined ? `has no '${missing}'` : unknown !== undefined ? `has '${unknown}', which the run has not` : '';
  if (problem !== '') throw mismatch(name, problem);
  return new Map(
    [...like].map(([key, own]): [string, Tensor] => {
      const source = dict.get(key);
      if (!source) return [key, own];
      if (`${source.shape}` !== `${own.shape}`) throw mismatch(name, `has '${key}' as [${source.shape}], not [${own.shape}]`);
      const tensor = source.read();
      return [key, own.dtype === 'int64' ? tensor : toFloat32(tensor)];
    }),
  );
}

const mismatch = (name: string, problem: string) =>
  new GpdError('STATE_MISMATCH', `${name} ${problem}`, {
    at: name,
    hint: 'it is of another network: look at it with gpd inspect, and compare --arch, --ratio, --orepa and --kd',
  });

/** The weights of a checkpoint of the widened network. */
export function readWeights(source: ByteSource, like: NamedTensors, choice: StateDictChoice): NamedTensors {
  const checkpoint = openCheckpoint(source, choice);
  try {
    return tensorsLike(like, checkpoint.stateDict, source.name);
  } finally {
    checkpoint.close();
  }
}

export interface Saved {
  readonly state: InitialState;
  /** Absent in checkpoints of the original: they are of the end of an epoch. */
  readonly position: Position | undefined;
  /** The epoch that was just finished. */
  readonly epoch: number | undefined;
}

/** `like`: the state that the run would start from. */
export function readCheckpoint(source: ByteSource, like: NamedTensors, settings: OptimizerSettings): Saved {
  const checkpoint = openCheckpoint(source);
  try {
    const {root, name} = checkpoint;
    const model = tensorsLike(like, checkpoint.stateDict, name);
    const optimizer = decodeOptimizer(entryOf(root, 'optimizer'), model, settings, checkpoint.tensor);
    const [ema, staticTeacher] = [dictOf(checkpoint, 'state_dict_ema'), dictOf(checkpoint, STATIC_TEACHER)];
    const position = entryOf(root, POSITION);
    return {
      state: {
        model,
        ...(ema && {ema: tensorsLike(like, ema, `${name}, its moving average,`)}),
        ...(optimizer && {optimizer}),
        ...(staticTeacher && {staticTeacher: new Map([...staticTeacher].map(([key, t]) => [key, t.read()]))}),
      },
      position: position === undefined ? undefined : readPosition(position, name),
      epoch: epochOf(checkpoint.meta.get('epoch'), name),
    };
  } finally {
    checkpoint.close();
  }
}

const corrupt = (name: string, problem: string) =>
  new GpdError('CHECKPOINT_CORRUPT', `${name}: ${problem}`, {at: name, hint: 'the file is damaged: copy it again'});

function readPosition(saved: PlainData, name: string): Position {
  try {
    if (typeof saved === 'string') return parseJson(saved, savedPosition);
    throw SchemaError.at('', 'a text', typeof saved === 'object' ? {} : saved);
  } catch (error) {
    if (error instanceof SchemaError) throw corrupt(name, `where the run was cannot be read (${POSITION}): ${error.message}`);
    throw error;
  }
}

/** Whole epochs, and few enough to count in. */
function epochOf(saved: PlainData | undefined, name: string): number | undefined {
  if (typeof saved !== 'number') return undefined;
  if (Number.isInteger(saved) && saved >= -1 && saved < 100_000) return saved;
  throw corrupt(name, `it says that it is of epoch ${saved}`);
}

const entryOf = (root: PlainData, key: string): PlainData | undefined => (isMap(root) ? root.get(key) : undefined);

function dictOf({root, tensor}: Checkpoint, name: string): StateDict | undefined {
  const dict = entryOf(root, name);
  if (!isMap(dict)) return undefined;
  const tensors = [...dict].flatMap(([key, ref]) =>
    typeof key === 'string' && isTensor(ref) ? [[key, tensor(ref, `${name}.${key}`)] as const] : [],
  );
  return new Map(tensors);
}
