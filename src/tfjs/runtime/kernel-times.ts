/** Where the time of the graphs goes, in TensorFlow.js's words: onnxruntime's profile, summed by the kernel call that nodes were lowered from. */
import type {NodeRun} from '../../onnx/profile.js';
import {originIn} from './engine-error.js';

export interface KernelTime {
  /** Kernel with the types of its inputs and results; or, for what onnxruntime added, the operator in brackets. */
  kernel: string;
  /** ONNX operators that it became. */
  operators: readonly string[];
  /** Of all runs together. */
  ms: number;
  /** Of the whole, 0 to 1. */
  share: number;
  /** Runs of its most frequent node. */
  runs: number;
}

/** A graph that was profiled: what each of its nodes was made for, and its runs. */
export interface ProfiledGraph {
  origins: ReadonlyMap<string, string>;
  runs: readonly NodeRun[];
}

interface Sum {
  ms: number;
  operators: Set<string>;
  runsOf: Map<string, number>;
}

/** Slowest first. */
export function sumByKernel(graphs: readonly ProfiledGraph[]): KernelTime[] {
  const sums = new Map<string, Sum>();
  for (const [g, {origins, runs}] of graphs.entries()) {
    for (const {node, operator, ms} of runs) {
      const kernel = originIn(node, origins) ?? `(${operator})`;
      const sum = sums.get(kernel) ?? {ms: 0, operators: new Set(), runsOf: new Map()};
      sums.set(kernel, sum);
      sum.ms += ms;
      sum.operators.add(operator);
      sum.runsOf.set(`${g} ${node}`, (sum.runsOf.get(`${g} ${node}`) ?? 0) + 1);
    }
  }
  const total = [...sums.values()].reduce((ms, sum) => ms + sum.ms, 0);
  const rows = [...sums].map(([kernel, {ms, operators, runsOf}]) => ({
    kernel,
    operators: [...operators].sort(),
    ms,
    share: ms / total,
    runs: Math.max(...runsOf.values()),
  }));
  return rows.sort((a, b) => b.ms - a.ms);
}

/** Rows that take less together than this share are one row. */
const REST = 0.02;

/** The table as lines of text. */
export function kernelTimesText(times: readonly KernelTime[]): string[] {
  let left = 1;
  const shown = times.filter(({share}) => {
    const show = left > REST;
    left -= share;
    return show;
  });
  const rest = times.slice(shown.length);
  const line = (ms: number, share: number, runs: string, what: string) =>
    `${ms.toFixed(1).padStart(10)} ms ${(100 * share).toFixed(1).padStart(5)} % ${runs.padStart(6)}  ${what}`;
  const lines = shown.map(({kernel, operators, ms, share, runs}) =>
    line(ms, share, String(runs), `${kernel}  ${operators.join(' ')}`),
  );
  if (rest.length === 0) return lines;
  const ms = rest.reduce((sum, row) => sum + row.ms, 0);
  const share = rest.reduce((sum, row) => sum + row.share, 0);
  return [...lines, line(ms, share, '', `${rest.length} others`)];
}
