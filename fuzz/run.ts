/**
 * The long run: `npm run fuzz -- --reader pickle --count 1000000 --seed 1`. Without `--reader` all of them, one after the other.
 * `--save` keeps what it discovered. Exit 1 where an input was not treated as it must be; the input is printed in base64.
 */
import {parseArgs} from 'node:util';
import {growCorpus, loadCorpus} from './corpus.js';
import {startCoverage} from './coverage.js';
import {fuzz, type Violation} from './loop.js';
import type {Reader} from './reader.js';
import {readers} from './readers/index.js';
import {withoutEffects} from './sandbox.js';
import {shrink} from './shrink.js';

const CORPUS = 'fuzz/corpus';
const MAX_CORPUS_LINES = 250;

const {values} = parseArgs({
  options: {
    reader: {type: 'string', multiple: true},
    count: {type: 'string', default: '100000'},
    seed: {type: 'string', default: '1'},
    save: {type: 'boolean', default: false},
  },
});

async function runOne(reader: Reader): Promise<number> {
  await reader.prepare?.();
  const coverage = startCoverage(import.meta.url);
  const corpus = loadCorpus(CORPUS, reader.name);
  let shown = performance.now();
  const before = process.cpuUsage();
  const report = await withoutEffects(() =>
    fuzz(reader, {
      count: Number(values.count),
      seed: Number(values.seed),
      corpus,
      coverage,
      onProgress(inputs, size, violations) {
        if (performance.now() - shown < 5000) return;
        shown = performance.now();
        process.stderr.write(
          `${reader.name}: ${inputs} inputs, corpus ${size}, ${coverage.size} blocks, ${violations} violations\n`,
        );
      },
    }),
  );
  coverage.stop();
  const {inputs, refused, seconds, outcomes, violations, discoveries} = report;
  const cpu = (process.cpuUsage(before).user + process.cpuUsage(before).system) / 1e6;
  const rate = Math.round(inputs / cpu);
  const share = ((100 * refused) / inputs).toFixed(0);
  process.stdout.write(
    `${reader.name}: ${inputs} inputs in ${seconds.toFixed(0)} s, ${cpu.toFixed(0)} s of processor time (${rate}/s), ${share} % refused, ${outcomes} outcomes, ` +
      `${coverage.size} blocks, ${discoveries.length} discoveries, ${violations.length} violations\n`,
  );
  for (const violation of violations) await show(reader, violation);
  if (values.save) {
    const added = growCorpus(CORPUS, reader.name, discoveries, MAX_CORPUS_LINES);
    process.stdout.write(`${reader.name}: ${added} inputs added to the corpus\n`);
  }
  return violations.length;
}

async function show(reader: Reader, {bytes, signature, problem}: Violation): Promise<void> {
  const smallest = await shrink(reader, bytes, signature);
  process.stdout.write(`  ${problem.split('\n').slice(0, 6).join('\n  ')}\n  ${Buffer.from(smallest).toString('base64')}\n`);
}

Error.stackTraceLimit = 6; // most inputs end in an error, and most of an error's cost is its stack
const wanted = values.reader ? readers.filter(({name}) => values.reader!.includes(name)) : readers;
let violations = 0;
for (const reader of wanted) violations += await runOne(reader);
process.exitCode = violations > 0 ? 1 : 0;
