/**
 * Every debug switch, declared once. `GPD_DEBUG=graph,match` turns topics on; output goes to stderr, dumps to numbered files
 * under `GPD_DEBUG_DIR` (default: the current folder's gpd-debug). A misspelt topic is an error, not silence.
 */
import {mkdirSync, writeFileSync} from 'node:fs';
import {join} from 'node:path';
import {printableLines} from './printable.js';

export const debugTopics = {
  graph: 'the graph after each pass that changed it, and of each training step, as numbered files',
  match: 'per rewrite rule: attempts, hits, and the nearest miss with its reason',
  pickle: 'every pickle opcode with its offset',
  lazy: 'what the TensorFlow.js backend compiles, runs, and leaves to the cpu',
  kernels: 'time of each TensorFlow.js kernel in onnxruntime, when the process ends',
  leak: 'what each captured training step has left behind, and the kernels that made it',
  nan: 'stop at the first number that is not finite, and name the TensorFlow.js kernel that made it',
  time: 'nested timings of a run',
} as const;
export type DebugTopic = keyof typeof debugTopics;

const active = new Set<DebugTopic>();
for (const topic of (process.env['GPD_DEBUG'] ?? '').split(',').filter(Boolean)) {
  if (!(topic in debugTopics)) {
    throw new Error(`GPD_DEBUG: unknown topic '${topic}'; known are ${Object.keys(debugTopics).join(', ')}`);
  }
  active.add(topic as DebugTopic);
}

export const debugging = (topic: DebugTopic): boolean => active.has(topic);

export function trace(topic: DebugTopic, line: () => string): void {
  if (active.has(topic)) process.stderr.write(`${topic}: ${printableLines(line())}\n`);
}

let dumped = 0;
/** `NNN-name` in the debug folder, which exists from now on. */
export function debugPath(name: string): string {
  const folder = process.env['GPD_DEBUG_DIR'] ?? 'gpd-debug';
  mkdirSync(folder, {recursive: true});
  return join(folder, `${String(dumped++).padStart(3, '0')}-${name}`);
}

/** Writes `NNN-name` into the debug folder and says so on stderr. */
export function dump(topic: DebugTopic, name: string, content: () => string | Uint8Array): void {
  if (!active.has(topic)) return;
  const path = debugPath(name);
  writeFileSync(path, content());
  process.stderr.write(`${topic}: wrote ${printableLines(path)}\n`);
}
