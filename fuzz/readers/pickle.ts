import {describeTree, toJson} from '../../src/checkpoint/describe-tree.js';
import {findStateDicts} from '../../src/checkpoint/find-state-dicts.js';
import {readPickle} from '../../src/checkpoint/pickle.js';
import {storageRegistry} from '../../src/checkpoint/torch-storage.js';
import {ByteReader} from '../../src/core/bytes.js';
import {MemoryBudget} from '../../src/core/memory-budget.js';
import {bend} from '../bend.js';
import type {Reader} from '../reader.js';
import {assemble, program, value} from './pickle-program.js';

/** The pickle machine alone. */
export const pickle: Reader = {
  name: 'pickle',
  generate(dice, bends) {
    const instructions = program(dice, value(dice));
    for (let i = 0; i < bends; i++) bend(instructions, dice);
    return assemble(instructions);
  },
  read(bytes) {
    const reader = new ByteReader(bytes, 'fuzz');
    const {root} = readPickle(reader, storageRegistry().load);
    const lines = describeTree(root);
    JSON.stringify(toJson(root));
    const kinds = new Set(lines.map(({text}) => text.replace(/[("[].*|\d.*/, '')));
    return `${findStateDicts(root, new MemoryBudget('fuzz', bytes.length)).found.length} state dicts, ${Math.min(kinds.size, 9)} kinds`;
  },
};
