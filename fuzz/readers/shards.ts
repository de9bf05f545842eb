import {openCheckpoint} from '../../src/checkpoint/open.js';
import {readShardIndex} from '../../src/checkpoint/shard-index.js';
import {openSharded} from '../../src/checkpoint/sharded.js';
import {writeSafetensors} from '../../src/checkpoint/write-safetensors.js';
import {bufferSource} from '../../src/core/bytes.js';
import {GpdError} from '../../src/core/error.js';
import {joinedSource} from '../../src/core/joined-source.js';
import type {Random} from '../../src/core/random.js';
import {float32, sourceOf} from '../../src/core/tensor.js';
import {collect} from '../../test/checkpoint/assembler.js';
import {bend} from '../bend.js';
import {chance, pick, trickyNames} from '../dice.js';
import type {Reader} from '../reader.js';

const contents: Readonly<Record<string, readonly string[]>> = {
  'model-1.safetensors': ['module.a', 'module.b'],
  'model-2.safetensors': ['module.c'],
};

/** The files beside the index, in memory: a fuzzer opens none. What is not there is the error that opening it would be. */
const files = new Map(
  Object.entries(contents).map(([name, keys]) => {
    const tensors = new Map(keys.map((key, i) => [key, sourceOf(float32([2], [i, 1]))]));
    return [name, collect((sink) => writeSafetensors(tensors, sink))] as const;
  }),
);

interface Description {
  /** Pairs, because a JSON object can have a key twice. */
  map: {key: string; file: unknown}[];
  metadata: unknown;
  before: string;
  between: string;
}

function description(dice: Random): Description {
  const all = Object.entries(contents).flatMap(([file, keys]) => keys.map((key) => ({key, file: file as unknown})));
  const map = chance(dice, 0.8)
    ? all
    : [...all, {key: pick(dice, trickyNames), file: pick(dice, [...trickyNames, '../x', '/x'])}];
  return {map, metadata: {total_size: pick(dice, [24, 2.5, 1e9])}, before: '', between: pick(dice, ['', ' ', '\n  '])};
}

/** The index of a checkpoint in several files. */
export const shards: Reader = {
  name: 'shards',
  generate(dice, bends) {
    const made = description(dice);
    for (let i = 0; i < bends; i++) bend(made, dice);
    const {map, metadata, before, between} = made;
    const members = map.map(({key, file}) => `${JSON.stringify(key)}${between}:${JSON.stringify(file) ?? 'null'}`);
    const text = `${before}{"metadata":${JSON.stringify(metadata) ?? 'null'},${between}"weight_map":{${members.join(',')}}}`;
    return new Uint8Array(Buffer.from(text));
  },
  read(bytes) {
    const index = readShardIndex('fuzz', new TextDecoder().decode(bytes));
    const parts = [...index].map(([file, keys]) => {
      const data = files.get(file);
      if (!data) throw new GpdError('FILE_UNREADABLE', `${file}: no such file`, {hint: 'check the path'});
      return {source: bufferSource(data, file), keys};
    });
    const joined = joinedSource(
      'fuzz',
      parts.map(({source}) => source),
    );
    const checkpoint = openSharded({...joined, files: [...index.keys()], notes: []}, parts, (source) => openCheckpoint(source));
    for (const tensor of checkpoint.stateDict.values()) tensor.read();
    checkpoint.verifyCrc();
    return `${checkpoint.stateDict.size} tensors in ${parts.length} files`;
  },
};
