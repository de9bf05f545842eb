/**
 * THE allow-list: the (module, name) pairs that mean something to a reader here, and the plain data each stands for. Lookup is by the
 * exact pair in a fixed table, as in torch/_weights_only_unpickler.py; no name is ever resolved, so a dotted one reaches nothing.
 * `gpd convert --list-allowed` prints this table.
 *
 * A class that is not on the list, and is of no module that attacks are made of (`unwelcome-globals.ts`), becomes an inert stub: its
 * name, and what the file gives it. It is never imported; whoever needs what it was (a model, a tensor of a class of its own) refuses it.
 */
import {costs} from '../core/memory-budget.js';
import type {AllowedGlobal} from './allowed-global.js';
import {objectStub} from './allowed-global.js';
import {numpyGlobals} from './numpy-globals.js';
import type {PickleMachine} from './pickle-machine.js';
import type {GlobalName, PlainData} from './plain-data.js';
import {pythonGlobals} from './python-globals.js';
import {torchGlobals} from './torch-globals.js';
import {refuseUnwelcome} from './unwelcome-globals.js';

const table: readonly AllowedGlobal[] = [...torchGlobals, ...numpyGlobals, ...pythonGlobals];

/** `module name` → entry. No entry contains a second blank, so a pair that is not listed cannot spell one that is. */
export const allowedGlobals: ReadonlyMap<string, AllowedGlobal> = new Map(table.map((g) => [`${g.module} ${g.name}`, g]));

const names: ReadonlyMap<string, GlobalName> = new Map(
  table.map(({module, name}) => [`${module} ${name}`, Object.freeze({kind: 'global', module, name} as const)]),
);

/** A name that a pickle mentions. Throws PICKLE_UNSUPPORTED where it has no business in a checkpoint. */
export function lookUpGlobal(m: PickleMachine, module: string, name: string): GlobalName {
  const found = names.get(`${module} ${name}`);
  if (found) return found;
  refuseUnwelcome(m, module, name);
  m.spend(costs.record);
  return {kind: 'global', module, name};
}

/** What REDUCE (`call`) and NEWOBJ (`create`) make of a name: the plain data of its row, or a stub of a class that has none. */
export function makeObject(m: PickleMachine, of: GlobalName, how: 'call' | 'create', args: readonly PlainData[]): PlainData {
  const entry = allowedGlobals.get(`${of.module} ${of.name}`);
  const type = `${of.module}.${of.name}`;
  if (!entry) {
    m.noteInert(type);
    return objectStub(args, m, type);
  }
  const build = entry[how];
  if (!build) throw m.unsupported(`'${type}' may not be called this way`);
  if (entry.inert) m.noteInert(type);
  return build(args, m, type);
}
