/**
 * `npm run bench`: every benchmark, or those named: `npm run bench convert startup`. Other words choose among what a benchmark measures:
 * `npm run bench -- train-step resnet20`. Numbers are printed, never asserted.
 */
import {cpus, totalmem} from 'node:os';
import {benchConvert} from './convert.js';
import {benchData} from './data.js';
import {benchEval} from './eval.js';
import {benchFit} from './fit.js';
import {benchGpdStep} from './gpd-step.js';
import {benchInt8} from './int8.js';
import {ms, timeCommand} from './measure.js';
import {benchSoak} from './soak.js';
import {benchTrainStep} from './train-step.js';

function benchStartup(): void {
  for (const args of [['--help'], ['convert', '--help'], ['--version']]) {
    const run = timeCommand(['bin/gpd.js', ...args], 9);
    console.log(`gpd ${args.join(' ')}: ${ms(run.medianMs)} (${ms(run.minMs)} … ${ms(run.maxMs)})`);
  }
}

const benches: Readonly<Record<string, (filter: readonly string[]) => void | Promise<void>>> = {
  startup: benchStartup,
  convert: benchConvert,
  data: benchData,
  eval: benchEval,
  int8: benchInt8,
  fit: benchFit,
  'train-step': benchTrainStep,
  'gpd-step': benchGpdStep,
  soak: benchSoak,
};

const words = process.argv.slice(2);
const wanted = words.filter((word) => word in benches);
const filter = words.filter((word) => !(word in benches));
if (filter.length > 0 && wanted.length === 0)
  throw new Error(`no benchmark '${filter[0]}'; there are ${Object.keys(benches).join(', ')}`);
console.log(
  `node ${process.version}, ${cpus().length} x ${cpus()[0]?.model ?? 'cpu'}, ${(totalmem() / 2 ** 30).toFixed(0)} GiB\n`,
);
for (const [name, bench] of Object.entries(benches)) {
  if (wanted.length > 0 && !wanted.includes(name)) continue;
  await bench(filter);
  console.log('');
}
