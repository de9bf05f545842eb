/** Passes: named steps over a model that say how much they changed. The runner checks and dumps the graph between them. */
import {dump, trace} from '../core/debug.js';
import {GpdError} from '../core/error.js';
import {assertValid} from './check.js';
import type {Model} from './graph.js';
import type {Rule} from './pattern.js';
import {applyRules} from './rewrite.js';
import {printModel} from './text.js';

export interface Pass {
  /** Verb and target: `fuse-bn-into-conv`. */
  readonly name: string;
  /** Changes the model in place; gives the number of changes, 0 when there was nothing to do. */
  run(model: Model): number | Promise<number>;
}

export interface PassReport {
  name: string;
  changes: number;
  /** Nodes left. */
  nodes: number;
  ms: number;
}

export interface PassOptions {
  /** Called after each pass, for progress. */
  onPass?: (report: PassReport) => void;
}

/** A set of rules, run until none applies. */
export const rewritePass = (name: string, rules: readonly Rule[]): Pass => ({
  name,
  run: ({graph}) => applyRules(graph, rules).changes,
});

/** Runs the passes in order. After each that changed something the model is valid, or the error names the pass that broke it. */
export async function runPasses(model: Model, passes: readonly Pass[], {onPass}: PassOptions = {}): Promise<PassReport[]> {
  const reports: PassReport[] = [];
  dump('graph', 'start.txt', () => printModel(model));
  for (const pass of passes) {
    const start = performance.now();
    const changes = await runOne(pass, model, reports);
    const report = {name: pass.name, changes, nodes: model.graph.nodes.length, ms: performance.now() - start};
    trace('time', () => `${pass.name} ${report.ms.toFixed(1)} ms, ${changes} changes, ${report.nodes} nodes`);
    reports.push(report);
    if (changes > 0) {
      assertValid(model, `after the pass ${pass.name}`);
      dump('graph', `${pass.name}.txt`, () => printModel(model));
    }
    onPass?.(report);
  }
  return reports;
}

async function runOne(pass: Pass, model: Model, before: readonly PassReport[]): Promise<number> {
  try {
    return await pass.run(model);
  } catch (error) {
    if (error instanceof GpdError) throw error;
    const done = before.map((r) => r.name).join(', ') || 'none';
    throw new Error(`the pass ${pass.name} failed (passes before it: ${done}): ${(error as Error).message}`, {cause: error});
  }
}
