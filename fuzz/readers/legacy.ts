import type {Random} from '../../src/core/random.js';
import {u64} from '../../test/checkpoint/assembler.js';
import {bend} from '../bend.js';
import {chance, noise} from '../dice.js';
import type {Reader} from '../reader.js';
import {readCheckpoint} from './checkpoint.js';
import {assemble, type Program, program, stateDict, storages, value} from './pickle-program.js';

const MAGIC = Uint8Array.from([0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19]);
const whole = (root: Program): Program => [{op: 'PROTO', argument: 2}, ...root, {op: 'STOP'}];

interface Description {
  pickles: Program[];
  storages: {count: number; data: Uint8Array}[];
}

function description(dice: Random): Description {
  const numbers = storages(dice);
  const keys = numbers.map(({key}): Program => [{op: 'BINUNICODE', argument: key}]);
  const system: Program = [
    ...([{op: 'EMPTY_DICT'}, {op: 'BINUNICODE', argument: 'little_endian'}] as const),
    ...[{op: chance(dice, 0.9) ? 'NEWTRUE' : 'NEWFALSE'}, {op: 'SETITEM'}],
  ];
  const pickles = [
    whole([{op: 'LONG1', argument: MAGIC}]),
    whole([{op: 'BININT2', argument: 1001}]),
    whole(system),
    program(dice, chance(dice, 0.9) ? stateDict(dice, numbers) : value(dice)),
    whole([{op: 'EMPTY_LIST'}, {op: 'MARK'}, ...keys.flat(), {op: 'APPENDS'}]),
  ];
  return {pickles, storages: numbers.map(({count, bytes}) => ({count, data: noise(dice, bytes)}))};
}

/** PyTorch's container before 1.6: five pickles, then the numbers. */
export const legacy: Reader = {
  name: 'legacy',
  generate(dice, bends) {
    const {pickles, storages} = bent(description(dice), dice, bends);
    const numbers = storages.flatMap(({count, data}) => [Uint8Array.from(u64(BigInt(Math.trunc(count)))), data]);
    return new Uint8Array(Buffer.concat([...pickles.map(assemble), ...numbers]));
  },
  read: readCheckpoint,
};

function bent<T extends object>(thing: T, dice: Random, bends: number): T {
  for (let i = 0; i < bends; i++) bend(thing, dice);
  return thing;
}
