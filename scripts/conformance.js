// `npm run test:conformance [filter]`: TensorFlow.js's own 4,225 specs against our backend. Prints how many ran, passed and failed,
// and with GPD_DEBUG=lazy which kernels ran on TensorFlow.js's cpu code, and why. A spec that cannot pass is listed, with its reason,
// in test/conformance/known.txt; one that fails without being listed, or passes although it is, fails the run.
import {mkdirSync, readFileSync} from 'node:fs';
import {createRequire} from 'node:module';
import {pathToFileURL} from 'node:url';
import {build} from 'esbuild';

const Jasmine = createRequire(import.meta.url)('jasmine');
const filter = process.argv[2];
const outfile = 'build/conformance.mjs';
mkdirSync('build', {recursive: true});
await build({
  entryPoints: ['test/conformance/entry.ts'],
  outfile,
  bundle: true,
  platform: 'node',
  format: 'esm',
  target: 'node20',
  ignoreAnnotations: true, // the package marks its tests as free of side effects
  external: ['onnxruntime-node', 'onnxruntime-node/*', 'jasmine-core'],
  banner: {js: "import {createRequire as cr} from 'node:module'; const require = cr(import.meta.url);"},
  logLevel: 'error',
});

const known = new Map(
  readFileSync('test/conformance/known.txt', 'utf8')
    .split('\n')
    .filter((line) => line && !line.startsWith('#'))
    .map((line) => line.split(' — ')), // spec — reason
);

const print = console.log;
const counts = {passed: 0, failed: 0, pending: 0, excluded: 0};
const unexpected = [];
const runner = new Jasmine();
runner.exitOnCompletion = false;
runner.clearReporters();
runner.addReporter({
  specDone({status, fullName, failedExpectations}) {
    counts[status]++;
    if (status === 'passed' && known.has(fullName)) unexpected.push(`${fullName}\n    passes; take it out of known.txt`);
    if (status !== 'failed' || known.has(fullName)) return;
    unexpected.push(`${fullName}\n    ${failedExpectations[0]?.message.split('\n').slice(0, 3).join(' ')}`);
  },
});
globalThis.jasmine = runner.jasmine;
runner.randomizeTests(false);
const {backend} = await import(pathToFileURL(outfile).href);
console.log = console.warn = () => {}; // specs of the profiler and of warnings print
await runner.execute(undefined, filter);

for (const line of unexpected) print(`✗ ${line}`);
const notes = backend.fallbackNotes;
if (process.env.GPD_DEBUG?.includes('lazy')) print(`on TensorFlow.js's cpu code:\n  ${[...notes].sort().join('\n  ')}`);
const withoutLowering = notes.filter((note) => note.endsWith('no lowering')).length;
print(
  `${backend.runtime.statistics.calls} kernel calls in ${backend.runtime.statistics.compiled} graphs; ` +
    `${withoutLowering} kernels have no lowering, ${notes.length - withoutLowering} kinds of calls are left to TensorFlow.js's cpu code`,
);
print(
  `${counts.passed + counts.failed} ran: ${counts.passed} passed, ${counts.failed} failed (${known.size} known), ${counts.pending} pending`,
);
process.exitCode = unexpected.length > 0 ? 1 : 0;
