/** A checkpoint in several files as one: every tensor lies in the file that the index names, and in no other. */
import type {ByteSource} from '../core/bytes.js';
import {GpdError} from '../core/error.js';
import type {TensorSource} from '../core/tensor.js';
import type {Checkpoint, CrcReport} from './checkpoint.js';
import type {CheckpointSource} from './checkpoint-source.js';
import type {PlainData} from './plain-data.js';
import {commonPrefix} from './state-dicts.js';

type Opened = {readonly checkpoint: Checkpoint; readonly keys: readonly string[]; readonly start: number};

/** `open` reads one of the files. Throws CHECKPOINT_CORRUPT where the files are not what the index says. */
export function openSharded(
  source: CheckpointSource,
  shards: NonNullable<CheckpointSource['shards']>,
  open: (source: ByteSource) => Checkpoint,
): Checkpoint {
  let start = 0;
  const opened: Opened[] = shards.map(({source: file, keys}) => {
    const one = {checkpoint: open(file), keys, start};
    start += file.size;
    return one;
  });
  const tensors = tensorsOf(source.name, opened);
  const prefix = commonPrefix([...tensors.keys()]);
  const short = (key: string) => key.slice(prefix.length);
  const stateDict = new Map([...tensors].map(([key, {tensor}]) => [short(key), tensor]));
  const first = opened[0]!.checkpoint;
  const all = opened.map(({checkpoint}) => checkpoint);
  const own = (one: Opened, keys: Iterable<string>) =>
    [...keys].map((key) => prefix + key).filter((key) => tensors.get(key)?.of === one.checkpoint);
  return {
    ...first,
    name: source.name,
    stateDict,
    available: [{key: null, tensors: stateDict.size, bytes: source.size, averaged: false}],
    prefix,
    meta: new Map(all.flatMap((checkpoint) => [...checkpoint.meta])),
    ignored: all.flatMap((checkpoint) => checkpoint.ignored),
    inert: all.flatMap((checkpoint) => checkpoint.inert),
    warnings: source.notes,
    root: new Map<PlainData, PlainData>([...first.meta]),
    tensor: (_, name) => {
      throw new Error(`${source.name} has no tree that could refer to '${name}'`);
    },
    verifyCrc: (keys = stateDict.keys()) => {
      const wanted = [...keys];
      return sum(
        opened.map((one) => one.checkpoint.verifyCrc(own(one, wanted).map((key) => key.slice(one.checkpoint.prefix.length)))),
      );
    },
    checksums: () =>
      opened.flatMap(({checkpoint, start: at}) =>
        checkpoint
          .checksums()
          .map((c) => ({...c, offset: c.offset + at, keys: c.keys.map((key) => short(checkpoint.prefix + key))})),
      ),
    close: () => source.close(),
  };
}

function tensorsOf(name: string, opened: readonly Opened[]): ReadonlyMap<string, {tensor: TensorSource; of: Checkpoint}> {
  const fail = (problem: string) =>
    new GpdError('CHECKPOINT_CORRUPT', `${name}: ${problem}`, {
      at: name,
      hint: 'index and files do not belong together: get all of them again from their source',
    });
  const found = new Map<string, {tensor: TensorSource; of: Checkpoint}>();
  for (const {checkpoint, keys} of opened) {
    const listed = new Set(keys);
    for (const [key, tensor] of checkpoint.stateDict) {
      const full = checkpoint.prefix + key;
      if (found.has(full)) throw fail(`tensor '${full}' lies in two files, the second is ${checkpoint.name}`);
      if (!listed.delete(full)) throw fail(`${checkpoint.name} has tensor '${full}', and the index does not say so`);
      found.set(full, {tensor, of: checkpoint});
    }
    const [missing] = listed;
    if (missing !== undefined) throw fail(`tensor '${missing}' should lie in ${checkpoint.name}, which does not have it`);
  }
  return found;
}

const sum = (reports: readonly CrcReport[]): CrcReport => ({
  checked: reports.reduce((n, r) => n + r.checked, 0),
  bytes: reports.reduce((n, r) => n + r.bytes, 0),
  mismatches: reports.flatMap((r) => r.mismatches),
  notRecorded: reports.reduce((n, r) => n + r.notRecorded, 0),
});
