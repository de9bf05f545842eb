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

/** 4 GiB and four times the weights, at most three quarters of the memory that there is. */
export function defaultMemoryLimit(weightBytes: number): number {
  const constrained = process.constrainedMemory?.() ?? 0; // 0 or beyond all memory: none
  const memory = constrained > 0 ? Math.min(constrained, totalmem()) : totalmem();
  return Math.min(BASE_BYTES + PER_WEIGHT_BYTE * weightBytes, SHARE * memory);
}

let chosen: number | undefined;
let isGuarded = false;
let weights = 0;

/** From now on this process ends when it takes more. Undefined: `defaultMemoryLimit` of the models that are opened. */
export function limitMemory(bytes: number | undefined): void {
  chosen = bytes;
  isGuarded = true;
  guard(bytes ?? defaultMemoryLimit(weights));
}

/** A model of so many bytes of weights is about to be run. */
export function expectWeights(bytes: number): void {
  weights += bytes;
  if (isGuarded && chosen === undefined) guard(defaultMemoryLimit(weights));
}

const inGib = (bytes: number): string => `${(bytes / GIB).toPrecision(3)} GiB`;

/** What a report of the guard means. `what` ran. */
export function memoryExceeded(what: string, report: string): GpdError {
  const {limit, resident} = JSON.parse(report) as GuardReport;
  return new GpdError(
    'LIMIT_EXCEEDED',
    `${what} took more than ${inGib(limit)} of memory, and was ended at ${inGib(resident)}`,
    {
      hint: 'if you trust the model, allow more: --memory-limit 16G; smaller batches and images need less',
      data: {limit, resident},
    },
  );
}
