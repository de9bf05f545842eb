/**
 * The index of a checkpoint in several files: `weight_map` says in which file each tensor lies. Format: huggingface/transformers,
 * `*.safetensors.index.json` and `*.bin.index.json`.
 */

import {GpdError} from '../core/error.js';
import {costs, MemoryBudget} from '../core/memory-budget.js';
import {isRecord} from '../core/schema.js';
import {scanJson} from './json-scan.js';

/** An index of the largest published models has some 100 kB. */
export const MAX_INDEX = 16 << 20;
/** Open files, each; the largest published models have some 200. */
const MAX_SHARDS = 1000;
/** index → weight_map; metadata may hold more. */
const MAX_DEPTH = 8;

/** File → the tensors that it should have. Nothing is opened: the names may be anything. Throws CHECKPOINT_CORRUPT. */
export function readShardIndex(name: string, text: string): ReadonlyMap<string, string[]> {
  const fail = (problem: string) =>
    new GpdError('CHECKPOINT_CORRUPT', `${name}: ${problem}`, {
      at: name,
      hint: 'the index is damaged or was edited: get it again from its source',
    });
  const budget = new MemoryBudget(name, text.length);
  const problem = scanJson(text, {maxDepth: MAX_DEPTH, numbers: 'any', onKey: () => budget.spend(costs.key)});
  if (problem) throw fail(`the index ${problem.problem}`);
  const map = weightMapOf(text);
  if (!map) throw fail('is no index of a checkpoint in several files: it has no weight_map');
  const files = new Map<string, string[]>();
  for (const [key, file] of Object.entries(map)) {
    if (typeof file !== 'string') throw fail(`says of tensor '${key}' no file that it lies in`);
    const keys = files.get(file);
    if (keys) keys.push(key);
    else files.set(file, [key]);
    if (files.size > MAX_SHARDS) throw fail(`names more than ${MAX_SHARDS} files`);
  }
  if (files.size === 0) throw fail('names no tensors');
  return files;
}

function weightMapOf(text: string): object | undefined {
  let index: unknown;
  try {
    index = JSON.parse(text);
  } catch {
    return undefined;
  }
  const map = typeof index === 'object' && index !== null && 'weight_map' in index ? index.weight_map : undefined;
  return isRecord(map) ? map : undefined;
}
