/**
 * Reads one pickle into plain data. Nothing is imported, constructed or called: a name is looked up in a fixed list
 * (`pickle-globals.ts`), an opcode in a fixed table (`pickle-opcodes.ts`), and what is in neither is refused with its offset.
 *
 * Format: https://github.com/python/cpython/blob/3.12/Lib/pickletools.py. The opcodes are those of PyTorch's own restricted
 * reader (torch/_weights_only_unpickler.py) and, because torch.save takes `pickle_protocol`, the harmless ones of protocol 4.
 */
import type {ByteReader} from '../core/bytes.js';
import {trace} from '../core/debug.js';
import {MemoryBudget} from '../core/memory-budget.js';
import {MAX_OPCODES, type PersistentLoad, PickleMachine} from './pickle-machine.js';
import {opcodes, refusedOpcodes} from './pickle-opcodes.js';
import type {PlainData} from './plain-data.js';

/** Starts at the reader's offset and leaves it after STOP. The work is linear in the bytes read. `inert`: objects without meaning, by class. */
export function readPickle(
  reader: ByteReader,
  persistentLoad: PersistentLoad,
  budget = new MemoryBudget(reader.name, reader.bytes.length),
): {root: PlainData; inert: ReadonlyMap<string, number>} {
  const machine = new PickleMachine(reader, persistentLoad, budget);
  const start = reader.offset;
  for (let count = 0; !machine.finished; count++) {
    if (count > MAX_OPCODES) {
      throw machine.fail('LIMIT_EXCEEDED', `more than ${MAX_OPCODES} opcodes`, 'this is not a checkpoint of a network');
    }
    step(machine, start);
  }
  return {root: machine.result as PlainData, inert: machine.inert};
}

function step(machine: PickleMachine, start: number): void {
  const {reader} = machine;
  const at = reader.offset;
  const byte = reader.u8();
  const opcode = opcodes[byte];
  machine.begin(opcode?.name ?? refusedOpcodes[byte]?.[0] ?? 'no opcode', at);
  if (at === start && opcode?.name !== 'PROTO') throw machine.invalid(`begins with byte ${byte}, not with PROTO (128)`);
  if (!opcode) throw unknownOpcode(machine, byte);
  trace('pickle', () => `${reader.name}@${at} ${opcode.name}`);
  opcode.run(machine);
  checkFrame(machine, at);
}

function unknownOpcode(machine: PickleMachine, byte: number) {
  const refused = refusedOpcodes[byte];
  return refused
    ? machine.unsupported(`${refused[0]} is refused: ${refused[1]}`)
    : machine.invalid(`byte ${byte} is not a pickle opcode`);
}

/** Protocol 4 promises that no opcode crosses the end of its frame; a file that breaks it is read differently by different readers. */
function checkFrame(machine: PickleMachine, at: number): void {
  const {frameEnd, reader} = machine;
  if (frameEnd === undefined || machine.opcode === 'FRAME') return;
  if (at < frameEnd && reader.offset > frameEnd) throw machine.invalid(`crosses the end of its frame at ${frameEnd}`);
  if (reader.offset >= frameEnd) machine.frameEnd = undefined;
}
