/** How much memory a process may take that runs models of strangers. */
import {totalmem} from 'node:os';
import {GpdError} from '../core/error.js';
import {type GuardReport, guard} from './guard.js';

const GIB = 2 ** 30;
/** For images, batches and what the engine computes: several times what the largest networks take. */
const BASE_BYTES = 4 * GIB;
/** The engine reads the weights, unpacks them, and packs them for its kernels. */
const PER_WEIGHT_BYTE = 4;
/** Of the machine's memory, or of what the container may have. */
const SHARE = 0.75;

/** 4 GiB and four times what is stored, at most three quarters of the memory that there is. The holes of a sparse file do not count. */
export function defaultMemoryLimit(storedBytes: number): number {
  const constrained = process.constrainedMemory?.() ?? 0; // 0 or beyond all memory: none
  const memory = constrained > 0 ? Math.min(constrained, totalmem()) : totalmem();
  return Math.min(BASE_BYTES + PER_WEIGHT_BYTE * storedBytes, SHARE * memory);
}

let chosen: number | undefined;
let isGuarded = false;
let stored = 0;

/** From now on this process ends when it takes more. Undefined: `defaultMemoryLimit` of the models that are opened. */
export function limitMemory(bytes: number | undefined): void {
  chosen = bytes;
  isGuarded = true;
  guard(bytes ?? defaultMemoryLimit(stored));
}

/** Throws LIMIT_EXCEEDED where the weights of the model at `path` alone are more than the limit. */
export function checkWeights(path: string, weightBytes: number, limit: number): void {
  if (weightBytes <= limit) return;
  const problem = `${path}: its weights take ${inGib(weightBytes)}, the limit is ${inGib(limit)}`;
  throw new GpdError('LIMIT_EXCEEDED', problem, {at: path, hint: ALLOW_MORE, data: {limit, weightBytes}});
}

/** The model at `path` is about to be run. Throws LIMIT_EXCEEDED where its weights alone are more than is allowed, before any is read. */
export function expectWeights(path: string, weightBytes: number, storedBytes = weightBytes): void {
  stored += storedBytes;
  if (!isGuarded) return;
  const limit = chosen ?? defaultMemoryLimit(stored);
  checkWeights(path, weightBytes, limit);
  if (chosen === undefined) guard(limit);
}

const ALLOW_MORE = 'if you trust the model, allow more: --memory-limit 16G; smaller batches and images need less';
const inGib = (bytes: number): string => `${(bytes / GIB).toPrecision(3)} GiB`;

/** What a report of the guard means. `what` ran. */
export function memoryExceeded(what: string, report: string): GpdError {
  const {limit, resident} = JSON.parse(report) as GuardReport;
  return new GpdError(
    'LIMIT_EXCEEDED',
    `${what} took more than ${inGib(limit)} of memory, and was ended at ${inGib(resident)}`,
    {
      hint: ALLOW_MORE,
      data: {limit, resident},
    },
  );
}
