/** What a row of the allow-list is, and the two kinds of inert data that most rows become: a text, and a stub of an object. */
import {costs} from '../core/memory-budget.js';
import {describeValue} from './describe-tree.js';
import type {PickleMachine} from './pickle-machine.js';
import type {Inert, ObjectStub, PlainData} from './plain-data.js';

/**
 * Arguments → plain data. Pure: the machine is there to report problems with their place, and to be told of copies: an argument may
 * come from the memo, and making a set of one long list again and again would multiply memory and time.
 */
export type MakePlain = (args: readonly PlainData[], machine: PickleMachine, type: string) => PlainData;

/** A (module, name) pair that a pickle may mention, and what becomes of it. */
export interface AllowedGlobal {
  readonly module: string;
  readonly name: string;
  /** What becomes of it here, in a few words. */
  readonly becomes: string;
  /** What REDUCE makes of it. Absent: it may be mentioned, not called. */
  readonly call?: MakePlain;
  /** What NEWOBJ makes of it. */
  readonly create?: MakePlain;
  /** Something of the program that wrote the file, which the network does not need: reports say so. */
  readonly inert?: true;
}

/** The texts of inert objects are for people. */
const MAX_LABEL = 1000;

/** An object as its text. A longer text is cut: it may be made of arguments that the file shares. */
export function inertText(type: string, text: string, m: PickleMachine): Inert {
  const cut = text.length > MAX_LABEL ? `${text.slice(0, MAX_LABEL)}…` : text;
  m.spend(costs.record + 2 * cut.length);
  return {kind: 'inert', type, text: cut};
}

/** Several values in a row, as Python would write a call. */
export const inertArguments = (args: readonly PlainData[]): string => args.slice(0, 8).map(describeValue).join(', ');

/** An object of any class. Its arguments are those of the file, not copied. */
export const objectStub: (args: readonly PlainData[], machine: PickleMachine, type: string) => ObjectStub = (
  args,
  _,
  type,
) => ({
  kind: 'object',
  type,
  args,
  state: undefined,
  entries: undefined,
  items: undefined,
});
