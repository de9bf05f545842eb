/**
 * Which blocks of the readers' code ran, asked of V8. An answer costs 1.5 ms, as much as a hundred inputs: so the loop asks once
 * for a batch, and looks for the inputs to thank only where the batch reached something new.
 */
import {readFileSync} from 'node:fs';
import {type Profiler, Session} from 'node:inspector';
import {fileURLToPath} from 'node:url';

export interface Coverage {
  /** Blocks that ran since the last call, and never before `keep`. */
  fresh(): Set<string>;
  has(block: string): boolean;
  /** These are not new any more. */
  keep(blocks: Iterable<string>): void;
  readonly size: number;
  stop(): void;
}

/** Where the bundle that runs (see scripts/run.js) holds code of `src/`: esbuild writes the file's name before each. */
function rangesOfSources(bundle: string): [from: number, to: number][] {
  const marks = [...bundle.matchAll(/^\/\/ (\S+\.ts)$/gm)];
  return marks.flatMap((mark, i): [number, number][] =>
    mark[1]!.startsWith('src/') ? [[mark.index, marks[i + 1]?.index ?? bundle.length]] : [],
  );
}

export function startCoverage(moduleUrl: string): Coverage {
  const session = new Session();
  session.connect();
  const ask = <T>(method: string, parameters: object = {}): T => {
    let answer: T | undefined;
    session.post(method, parameters, (error, result) => {
      if (error) throw error;
      answer = result as T; // the answer of a session in the same thread is there before `post` returns
    });
    return answer as T;
  };
  const ranges = rangesOfSources(readFileSync(fileURLToPath(moduleUrl), 'utf8'));
  const isSource = (offset: number) => ranges.some(([from, to]) => offset >= from && offset < to);
  const known = new Set<string>();
  ask('Profiler.enable');
  ask('Profiler.startPreciseCoverage', {callCount: true, detailed: true});
  return {
    fresh() {
      const {result} = ask<Profiler.TakePreciseCoverageReturnType>('Profiler.takePreciseCoverage');
      const script = result.find(({url}) => url === moduleUrl);
      const blocks = new Set<string>();
      for (const {ranges} of script?.functions ?? []) {
        for (const {startOffset, endOffset, count} of ranges) {
          const block = `${startOffset}-${endOffset}`;
          if (count > 0 && !known.has(block) && isSource(startOffset)) blocks.add(block);
        }
      }
      return blocks;
    },
    has: (block) => known.has(block),
    keep(blocks) {
      for (const block of blocks) known.add(block);
    },
    get size() {
      return known.size;
    },
    stop: () => session.disconnect(),
  };
}
