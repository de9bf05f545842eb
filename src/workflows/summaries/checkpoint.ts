/** What is in a checkpoint, as plain data: the result of `gpd inspect CHECKPOINT --json`. */

import type {Checkpoint} from '../../checkpoint/checkpoint.js';
import {describeTree, toJson} from '../../checkpoint/describe-tree.js';
import {openCheckpoint} from '../../checkpoint/open.js';
import {choiceFlags, type StateDictChoice} from '../../checkpoint/state-dicts.js';
import type {ByteSource} from '../../core/bytes.js';
import {commandsFor, type ErrorCode, GpdError} from '../../core/error.js';
import {byteLength} from '../../core/tensor.js';
import type {KeyUse} from '../../models/match-keys.js';
import {type Recognised, type RecogniseOptions, recognise} from '../../models/recognise.js';
import {type NetworkSummary, summariseNetwork} from './network.js';

/** What is in a checkpoint. */
export interface CheckpointSummary {
  kind: 'checkpoint';
  path: string;
  bytes: number;
  /** torch-zip, torch-legacy or safetensors. */
  format: string;
  /** The top level of the file, one line of text each. Empty where the file is the state dict itself, or has none. */
  entries: {key: string; value: string}[];
  /** `key` is what --key takes; null where the file itself is the state dict. */
  stateDicts: {key: string | null; tensors: number; bytes: number; averaged: boolean; used: boolean}[];
  /** What is in a file without the state dict that was asked for: every value to some depth. Empty for all others. */
  tree: {depth: number; place: string; text: string}[];
  /** What was taken off every key: 'module.' or ''. */
  prefix: string;
  /** The training options. */
  args: Record<string, unknown> | null;
  /** Plain values beside the weights; for safetensors its metadata. */
  meta: Record<string, unknown>;
  ignored: {key: string; reason: string; tensors?: number}[];
  /** Objects of the program that saved it, which were read as plain data without a meaning, by class. */
  inert: {type: string; count: number}[];
  warnings: string[];
  network: NetworkSummary | null;
  /** Why no network was recognised. */
  problem: {code: ErrorCode; message: string; hint?: string} | null;
  tensors: TensorSummary[];
}
export interface TensorSummary {
  name: string;
  dtype: string;
  shape: number[];
  bytes: number;
  /** Which network reads it; null where no network was recognised. */
  use: KeyUse['use'] | null;
  reason?: string;
}

/** Takes over the source. An unknown network is a finding here, not an error; an unreadable file is one. */
export function inspectCheckpoint(source: ByteSource, options: RecogniseOptions & StateDictChoice): CheckpointSummary {
  const checkpoint = openCheckpoint(source, {...options, withoutStateDict: 'keep'});
  try {
    const {recognised, problem} = checkpoint.problem
      ? {problem: problemOf(checkpoint.problem, checkpoint.name, options)}
      : tryToRecognise(checkpoint, options);
    const {name: path, format, prefix, stateDictKey, available} = checkpoint;
    return {
      kind: 'checkpoint',
      path,
      bytes: source.size,
      format,
      entries: topEntries(checkpoint),
      stateDicts: available.map((dict) => ({...dict, used: !checkpoint.problem && dict.key === stateDictKey})),
      tree: checkpoint.problem ? describeTree(checkpoint.root, TREE) : [],
      prefix,
      args: checkpoint.args ? Object.fromEntries(checkpoint.args) : null,
      meta: Object.fromEntries([...checkpoint.meta].map(([key, value]) => [key, toJson(value)])),
      ignored: [...checkpoint.ignored],
      inert: [...checkpoint.inert],
      warnings: [...checkpoint.warnings],
      network: recognised ? summariseNetwork(recognised) : null,
      problem,
      tensors: listTensors(checkpoint, recognised),
    };
  } finally {
    checkpoint.close();
  }
}

function tryToRecognise(
  checkpoint: Checkpoint,
  options: RecogniseOptions & StateDictChoice,
): {recognised?: Recognised; problem: CheckpointSummary['problem']} {
  const {stateDict, args} = checkpoint;
  try {
    return {recognised: recognise(stateDict, args, options), problem: null};
  } catch (error) {
    if (!(error instanceof GpdError)) throw error;
    return {problem: problemOf(error, checkpoint.name, options)};
  }
}

const problemOf = (
  {code, message, hint}: GpdError,
  name: string,
  choice: StateDictChoice,
): NonNullable<CheckpointSummary['problem']> => ({
  ...{code, message},
  ...(hint !== undefined && {hint: commandsFor(name, hint, choiceFlags(choice))}),
});

const MAX_ENTRIES = 100;
/** Of a file without a state dict: enough to see what it is. */
const TREE = {maxDepth: 6, maxChildren: 40, maxLines: 400};

function topEntries({root, stateDictKey}: Checkpoint): {key: string; value: string}[] {
  if (stateDictKey === null) return [];
  const [, ...children] = describeTree(root, {maxDepth: 1, maxChildren: MAX_ENTRIES});
  return children.map(({place, text}) => ({key: place, value: text}));
}

function listTensors({stateDict}: Checkpoint, recognised: Recognised | undefined): TensorSummary[] {
  const uses = new Map(recognised?.keys.map((key) => [key.key, key]));
  return [...stateDict].map(([name, tensor]) => {
    const found = uses.get(name);
    return {
      name,
      dtype: tensor.dtype,
      shape: [...tensor.shape],
      bytes: byteLength(tensor),
      use: found?.use ?? null,
      ...(found?.reason !== undefined && {reason: found.reason}),
    };
  });
}
