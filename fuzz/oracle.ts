/**
 * What may come of an input: a result, or a `GpdError` that says what, where and what to do. Anything else is a violation: another
 * error, more time or memory than the size of the input explains, and every call that no reader has a reason to make.
 */
import v8, {setFlagsFromString} from 'node:v8';
import {runInNewContext} from 'node:vm';
import {errorCodes, GpdError} from '../src/core/error.js';
import type {Reader} from './reader.js';
import {ForbiddenCall} from './sandbox.js';

export interface Verdict {
  /** The same for inputs that were treated alike: what was read, or which check refused it. */
  readonly signature: string;
  readonly violation?: string;
}

/** Time may grow with the size, and with nothing else. A pause of the machine is told from a hang by trying again. */
const MAX_MS = 50;
const MAX_MS_PER_BYTE = 0.005;
const ATTEMPTS = 4;
/** Growth of the heap and of array buffers within one call, where it can be seen between two collections. */
const MAX_GROWTH = 24 << 20;
const MAX_GROWTH_PER_BYTE = 64;

setFlagsFromString('--expose-gc');
const collectGarbage = runInNewContext('gc') as () => void;

const memory = (): number => {
  const {used_heap_size, external_memory} = v8.getHeapStatistics();
  return used_heap_size + external_memory;
};

const patience = ({maxMs = MAX_MS}: Reader, {length}: Uint8Array): number => maxMs + MAX_MS_PER_BYTE * length;

/** Numbers and quoted text are of the input; what remains says which check spoke. */
const shapeOf = (message: string): string =>
  message
    .replace(/['"].*['"]/s, '_') // from the first quote to the last: what is quoted may contain quotes
    .replace(/\[.*\]/s, '[]')
    .replace(/[^A-Za-z_ ]+/g, '#')
    .slice(0, 100);

export async function judge(reader: Reader, bytes: Uint8Array): Promise<Verdict> {
  const before = memory();
  const start = performance.now();
  const outcome = await attempt(reader, bytes);
  const ms = performance.now() - start;
  const growth = memory() - before;
  if (outcome.violation) return outcome;
  const judged = ms > patience(reader, bytes) ? await confirmSlow(reader, bytes, outcome) : outcome;
  if (judged.violation || growth <= MAX_GROWTH + MAX_GROWTH_PER_BYTE * bytes.length) return judged;
  return confirmLarge(reader, bytes, outcome);
}

async function attempt(reader: Reader, bytes: Uint8Array): Promise<Verdict> {
  try {
    const result = reader.read(bytes);
    return {signature: `read: ${typeof result === 'string' ? result : await result}`};
  } catch (error) {
    return judgeError(error);
  }
}

function judgeError(error: unknown): Verdict {
  if (error instanceof ForbiddenCall) return {signature: 'forbidden', violation: `it called ${error.message}`};
  if (!(error instanceof GpdError)) {
    const {name, message, stack} = error as Error;
    return {signature: `${name} ${shapeOf(message)}`, violation: stack ?? `${name}: ${message}`};
  }
  const signature = `${error.code} ${shapeOf(error.message)}`;
  if (!(error.code in errorCodes)) return {signature, violation: `the code ${error.code} is on no list`};
  if (!error.hint) return {signature, violation: `no hint: ${error.message}`};
  return {signature};
}

async function confirmSlow(reader: Reader, bytes: Uint8Array, outcome: Verdict): Promise<Verdict> {
  const limit = patience(reader, bytes);
  let least = Number.POSITIVE_INFINITY;
  for (let i = 0; i < ATTEMPTS && least > limit; i++) {
    const start = performance.now();
    await attempt(reader, bytes);
    least = Math.min(least, performance.now() - start);
  }
  return least <= limit ? outcome : {...outcome, violation: `${bytes.length} bytes took ${least.toFixed(0)} ms`};
}

async function confirmLarge(reader: Reader, bytes: Uint8Array, outcome: Verdict): Promise<Verdict> {
  const limit = MAX_GROWTH + MAX_GROWTH_PER_BYTE * bytes.length;
  let least = Number.POSITIVE_INFINITY;
  for (let i = 0; i < ATTEMPTS && least > limit; i++) {
    collectGarbage();
    const before = memory();
    await attempt(reader, bytes);
    least = Math.min(least, memory() - before);
  }
  const mebibytes = (least / 2 ** 20).toFixed(0);
  return least <= limit ? outcome : {...outcome, violation: `${bytes.length} bytes made the heap grow by ${mebibytes} MiB`};
}
