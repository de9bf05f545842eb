/**
 * The state of the pickle machine: stack, marks, memo, and the checks that every opcode relies on. It builds plain data only.
 * What the opcodes do with it is the table in `pickle-opcodes.ts`.
 */
import type {ByteReader} from '../core/bytes.js';
import {type ErrorCode, GpdError} from '../core/error.js';
import {costs, type MemoryBudget} from '../core/memory-budget.js';
import {isKind, type PlainData, type Tuple, typeName} from './plain-data.js';
import {decodeUtf8} from './utf8.js';

/** A full ResNet-18 checkpoint with optimizer and EMA needs 30,000; the largest published models stay below a million. */
export const MAX_OPCODES = 10_000_000;
/** Open MARKs: one per level of nesting, and the original saver reaches 6. */
export const MAX_MARKS = 1_000;
/** A module or name in GLOBAL; the longest one allowed has 29 characters. */
const MAX_GLOBAL_LENGTH = 256;

/** Gives the persistent id of a storage its meaning. Problems go through `machine.fail`. */
export type PersistentLoad = (id: Tuple, machine: PickleMachine) => PlainData;

/** V8 keeps a byte for each character, or two where one of them lies beyond Latin-1, whose UTF-8 begins with C4 or more. */
function memoryOfText(bytes: Uint8Array): number {
  if (bytes.length <= LONG_TEXT) return 2 * bytes.length;
  let characters = 0;
  let widest = 0;
  for (const byte of bytes) {
    if ((byte & 0xc0) !== 0x80) characters++;
    if (byte > widest) widest = byte;
  }
  return widest >= 0xc4 ? 2 * bytes.length : characters;
}
/** Shorter ones are not worth a look: bytes of numpy arrays are long texts in protocol 2. */
const LONG_TEXT = 4096;

export class PickleMachine {
  stack: PlainData[] = [];
  protocol = 0;
  frameEnd: number | undefined;
  result: PlainData | undefined;
  finished = false;
  opcode = '';
  private opcodeAt = 0;
  private readonly marks: PlainData[][] = [];
  private readonly memo = new Map<number, PlainData>();
  /** Objects that became inert data, by class. */
  readonly inert = new Map<string, number>();

  constructor(
    readonly reader: ByteReader,
    readonly persistentLoad: PersistentLoad,
    private readonly budget: MemoryBudget,
  ) {}

  begin(opcode: string, at: number): void {
    this.opcode = opcode;
    this.opcodeAt = at;
  }

  fail(code: ErrorCode, problem: string, hint: string): GpdError {
    return new GpdError(code, `${this.reader.name}: ${problem} (${this.opcode} at offset ${this.opcodeAt})`, {
      at: `${this.reader.name}@${this.opcodeAt}`,
      hint,
    });
  }
  invalid(problem: string): GpdError {
    return this.fail(
      'PICKLE_INVALID',
      problem,
      'the file is damaged or was not written by torch.save: download or save it again',
    );
  }
  unsupported(problem: string, hint = 'save model.state_dict() alone with torch.save and convert that'): GpdError {
    return this.fail('PICKLE_UNSUPPORTED', problem, hint);
  }

  /** Before something is made that is larger than the opcode: a container, or a copy of one. */
  spend(bytes: number): void {
    this.budget.spend(bytes);
  }

  /** An object became a stub or a text: its class is reported. */
  noteInert(type: string): void {
    const known = this.inert.get(type);
    if (known === undefined) this.budget.spend(costs.reported + 2 * type.length);
    this.inert.set(type, (known ?? 0) + 1);
  }

  push(value: PlainData): void {
    this.budget.spend(costs.item);
    this.stack.push(value);
  }
  /** Pushes a new container. What it will contain has been or will be paid for one by one. */
  pushNew(value: PlainData): void {
    this.budget.spend(costs.map);
    this.stack.push(value);
  }
  pop(): PlainData {
    const value = this.stack.pop();
    if (value === undefined) throw this.invalid('the stack is empty');
    return value;
  }
  top(): PlainData {
    const value = this.stack.at(-1);
    if (value === undefined) throw this.invalid('the stack is empty');
    return value;
  }
  popTuple(what: string): Tuple {
    const value = this.pop();
    if (!isKind(value, 'tuple')) throw this.invalid(`${what} is a ${typeName(value)}, not a tuple`);
    return value;
  }

  mark(): void {
    if (this.marks.length >= MAX_MARKS) {
      throw this.fail('LIMIT_EXCEEDED', `nested more than ${MAX_MARKS} deep`, 'this is not a checkpoint of a network');
    }
    this.marks.push(this.stack);
    this.stack = [];
  }
  /** Everything since the last MARK. */
  popMark(): PlainData[] {
    const below = this.marks.pop();
    if (!below) throw this.invalid('no MARK');
    const items = this.stack;
    this.stack = below;
    return items;
  }
  get openMarks(): number {
    return this.marks.length;
  }

  memoize(index: number): void {
    // Every entry takes at least one byte of file and Python counts up from 0, so a larger index is a lie.
    if (index >= this.reader.bytes.length)
      throw this.invalid(`memo index ${index} in a pickle of ${this.reader.bytes.length} bytes`);
    this.budget.spend(costs.entry);
    this.memo.set(index, this.top());
  }
  get memoSize(): number {
    return this.memo.size;
  }
  recall(index: number): PlainData {
    const value = this.memo.get(index);
    if (value === undefined) throw this.invalid(`memo entry ${index} was never set`);
    return value;
  }

  /** A string with its length in front. The length is checked against the bytes that are there before anything is made. */
  text(length: number): string {
    const bytes = this.reader.take(length);
    this.budget.spend(costs.text + memoryOfText(bytes));
    const text = decodeUtf8(bytes);
    if (text === undefined) throw this.invalid('a string is not valid UTF-8');
    return text;
  }
  /** An eight-byte length; beyond the end of the bytes it is the same error as for every other length. */
  longLength(): number {
    const length = this.reader.u64();
    if (length > BigInt(Number.MAX_SAFE_INTEGER)) throw this.invalid(`a length of ${length}`);
    const {offset} = this.reader;
    this.reader.take(Number(length));
    this.reader.offset = offset;
    return Number(length);
  }
  /** Text up to the next newline, as GLOBAL has it. */
  line(): string {
    const rest = this.reader.bytes.subarray(this.reader.offset, this.reader.offset + MAX_GLOBAL_LENGTH);
    const length = rest.indexOf(10);
    if (length < 0 && rest.length < MAX_GLOBAL_LENGTH) this.reader.take(MAX_GLOBAL_LENGTH); // the bytes end here: says so
    if (length < 0) throw this.invalid(`no end of line within ${MAX_GLOBAL_LENGTH} bytes`);
    const text = this.text(length);
    this.reader.u8();
    return text;
  }
}
