/**
 * What a path to a checkpoint means: a file, a folder as the Hugging Face hub gives it, or the index of a checkpoint in several files. Other
 * folders are refused by what they are.
 */
import {basename, dirname, join} from 'node:path';
import {type ByteSource, fileSource, readText} from '../core/bytes.js';
import {containedFileSource} from '../core/contained-file.js';
import {GpdError} from '../core/error.js';
import {namesInFolder} from '../core/folder.js';
import {plural} from '../core/format.js';
import {joinedSource} from '../core/joined-source.js';
import {shellWord} from '../core/shell.js';
import {MAX_INDEX, readShardIndex} from './shard-index.js';

/** The bytes of a checkpoint, and what else is known of where they lie. */
export interface CheckpointSource extends ByteSource {
  /** The files, in the order of their bytes. */
  readonly files: readonly string[];
  /** Of a checkpoint in several files: each of them, and the tensors that its index says it has. */
  readonly shards?: readonly Shard[];
  /** What must be said of the choice among several files. */
  readonly notes: readonly string[];
}
export interface Shard {
  readonly source: ByteSource;
  readonly keys: readonly string[];
}

/** In the order of transformers' `from_pretrained`. */
const hubFiles = [
  ...['model.safetensors', 'model.safetensors.index.json', 'pytorch_model.bin', 'pytorch_model.bin.index.json'],
];
const INDEX = /\.(safetensors|bin)\.index\.json$/;

/** Opens the file or files that a path names. Throws FILE_UNREADABLE, FORMAT_UNKNOWN, and CHECKPOINT_CORRUPT for a faulty index. */
export function checkpointSource(path: string): CheckpointSource {
  const names = namesInFolder(path);
  if (!names) return openFile(path);
  const known = hubFiles.filter((name) => names.includes(name));
  const [file] = known.length > 0 ? known : onlyOf(names);
  if (file === undefined) throw notThatFolder(path, names);
  const opened = openFile(join(path, file));
  const notes = known.length > 1 ? [`of the folder, ${file} is read; ${known.slice(1).join(', ')} is left aside`] : [];
  return {...opened, notes};
}

/** Other libraries keep one file of weights beside their configuration, under a name of their own. */
function onlyOf(names: readonly string[]): string[] {
  const weights = names.filter((name) => INDEX.test(name) || /\.safetensors$/.test(name) || /(^|_)model\.bin$/.test(name));
  const indexes = weights.filter((name) => INDEX.test(name));
  const found = indexes.length > 0 ? indexes : weights;
  return names.includes('config.json') && found.length === 1 ? found : [];
}

function openFile(path: string): CheckpointSource {
  if (INDEX.test(path)) return openShards(path);
  if (path.endsWith('.distcp')) {
    const names = namesInFolder(dirname(path));
    if (names) throw notThatFolder(dirname(path), names);
  }
  return {...fileSource(path), files: [path], notes: []};
}

/** The index may be a stranger's: it names files beside it, and no others. In the hub's own cache those are links into one folder. */
function openShards(path: string): CheckpointSource {
  const folder = dirname(path);
  const index = readShardIndex(path, readText(fileSource(path), MAX_INDEX));
  const shards: Shard[] = [];
  try {
    for (const [file, keys] of index) shards.push({source: openShard(path, folder, file, index.size), keys});
  } catch (error) {
    for (const {source} of shards) source.close();
    throw error;
  }
  const joined = joinedSource(
    path,
    shards.map(({source}) => source),
  );
  return {...joined, files: [...index.keys()].map((file) => join(folder, file)), shards, notes: []};
}

function openShard(path: string, folder: string, file: string, count: number): ByteSource {
  try {
    return containedFileSource(folder, file, {store: join(folder, '../../blobs')});
  } catch (error) {
    const {code} = ((error as Error).cause ?? {}) as NodeJS.ErrnoException;
    if (code !== 'ENOENT') throw error;
    throw new GpdError(
      'FILE_UNREADABLE',
      `${path}: is the index of a checkpoint in ${plural(count, 'file')}, and ${file} is not beside it`,
      {
        at: join(folder, file),
        hint: 'download all files that the index names into one folder',
        cause: error,
      },
    );
  }
}

interface FolderKind {
  readonly what: string;
  readonly matches: (names: readonly string[]) => boolean;
  readonly hint: (path: string) => string;
}

const folderKinds: readonly FolderKind[] = [
  {
    what: 'a distributed checkpoint (torch.distributed.checkpoint), its tensors in pieces',
    matches: (names) => names.includes('.metadata') || names.some((name) => name.endsWith('.distcp')),
    hint: (path) =>
      `merge it where PyTorch is: python -m torch.distributed.checkpoint.format_utils dcp_to_torch ${shellWord(path)} merged.pth`,
  },
  {
    what: 'a checkpoint of DeepSpeed, its tensors in pieces',
    matches: (names) => names.some((name) => /^zero_to_fp32\.py$|_optim_states\.pt$|^mp_rank_\d+_model_states\.pt$/.test(name)),
    hint: () => 'merge it where PyTorch is: python zero_to_fp32.py . merged.pth',
  },
  {
    what: 'a TensorFlow SavedModel',
    matches: (names) => names.includes('saved_model.pb'),
    hint: () => 'only PyTorch checkpoints and safetensors are read',
  },
];

/** A folder without one checkpoint of its own. */
const WEIGHTS = /\.(pth|pt|th|ckpt|bin|tar|safetensors|onnx|pkl)$/i;
const MAX_LISTED = 5;

function notThatFolder(path: string, names: readonly string[]): GpdError {
  const kind = folderKinds.find(({matches}) => matches(names));
  if (kind) return new GpdError('FORMAT_UNKNOWN', `${path}: is ${kind.what}, not one file`, {at: path, hint: kind.hint(path)});
  const candidates = names.filter((name) => WEIGHTS.test(name));
  const shown = candidates.slice(0, MAX_LISTED).map((name) => shellWord(join(path, name)));
  const more = candidates.length > MAX_LISTED ? ` (and ${candidates.length - MAX_LISTED} more)` : '';
  return new GpdError('FILE_UNREADABLE', `${path}: is a directory without ${hubFiles[0]} or ${hubFiles[2]}`, {
    at: path,
    hint: shown.length > 0 ? `name a file inside it: ${shown.join(', or ')}${more}` : `name a file; ${basename(path)} has none`,
  });
}
