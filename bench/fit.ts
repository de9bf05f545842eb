/**
 * Ordinary `model.fit` on our backend beside TensorFlow.js's own cpu backend: processor seconds of the first epoch and of a later one, and
 * memory, each program in a process of its own, in turns. `npm run bench -- fit lstm` measures those alone.
 */
import {execFile} from 'node:child_process';
import {promisify} from 'node:util';
import type {FitCost} from './fit-process.js';
import {fits} from './fit-programs.js';
import {median} from './measure.js';
import {bundleOurs} from './step-process.js';

const ROUNDS = 3;
const backends = ['cpu', 'onnxruntime'] as const;

async function run(bundle: string, backend: string, name: string): Promise<FitCost> {
  const {stdout} = await promisify(execFile)(process.execPath, [bundle, backend, name]);
  return JSON.parse(stdout) as FitCost;
}

const firstEpoch = ({epochs}: FitCost) => epochs[0]!.cpuSeconds;
const laterEpoch = ({epochs}: FitCost) => median(epochs.slice(1).map(({cpuSeconds}) => cpuSeconds));
const memory = ({peakBytes}: FitCost) => peakBytes / 1e6;

/** `cpu → ours (ratio)`, medians of the rounds. */
function compared(costs: readonly (readonly [FitCost, FitCost])[], what: (cost: FitCost) => number, digits: number): string {
  const [theirs, ours] = [0, 1].map((side) => median(costs.map((pair) => what(pair[side]!)))) as [number, number];
  const ratio = median(costs.map(([a, b]) => what(b) / what(a)));
  return `${theirs.toFixed(digits)} → ${ours.toFixed(digits)} (${ratio.toFixed(2)})`;
}

async function measure(bundle: string, name: string): Promise<void> {
  const costs: [FitCost, FitCost][] = [];
  for (let round = 0; round < ROUNDS; round++) {
    const [cpu, ours] = [await run(bundle, backends[0], name), await run(bundle, backends[1], name)];
    costs.push([cpu, ours]);
  }
  const losses = costs[0]!.map(({epochs}) => epochs.at(-1)!.loss.toPrecision(6)).join(' / ');
  const cells = [compared(costs, firstEpoch, 2), compared(costs, laterEpoch, 2), compared(costs, memory, 0)];
  console.log(`  ${name.padEnd(11)} ${cells.map((cell) => cell.padEnd(22)).join(' ')} ${losses}`);
}

export async function benchFit(filter: readonly string[]): Promise<void> {
  const unknown = filter.find((name) => !(name in fits));
  if (unknown) throw new Error(`fit: no program '${unknown}'; there are ${Object.keys(fits).join(', ')}`);
  const bundle = await bundleOurs('fit-process');
  console.log(`model.fit, cpu backend → ours (ratio), medians of ${ROUNDS} rounds in turns`);
  console.log(
    `  ${'program'.padEnd(11)} ${['epoch 1, CPU s', 'later, CPU s', 'memory, MB'].map((t) => t.padEnd(22)).join(' ')} last loss`,
  );
  for (const name of Object.keys(fits)) if (filter.length === 0 || filter.includes(name)) await measure(bundle, name);
}
