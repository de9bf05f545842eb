// `npm run test:conformance [filter]`: TensorFlow.js's own 4,225 specs against our backend. Prints how many ran, passed and failed.
import {mkdirSync} from 'node:fs';
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

const runner = new Jasmine();
runner.exitOnCompletion = false;
runner.clearReporters();
const counts = {passed: 0, failed: 0, pending: 0, excluded: 0};
runner.addReporter({
  specDone({status, fullName, failedExpectations}) {
    counts[status]++;
    if (status === 'failed')
      console.log(`✗ ${fullName}\n    ${failedExpectations[0]?.message.split('\n').slice(0, 3).join(' ')}`);
  },
});
globalThis.jasmine = runner.jasmine;
runner.randomizeTests(false);
Object.assign(globalThis, runner.env && {});
const {backend} = await import(pathToFileURL(outfile).href);
await runner.execute(undefined, filter);
const notes = backend.fallbackNotes;
console.log(
  `\nlowered kernels compiled ${backend.runtime.statistics.compiled} graphs; ${notes.length} kernels fell back to TensorFlow.js cpu`,
);
if (process.env.GPD_DEBUG?.includes('lazy')) console.log(notes.join('\n'));
console.log(
  `${counts.passed + counts.failed} ran: ${counts.passed} passed, ${counts.failed} failed, ${counts.pending} pending`,
);
process.exitCode = counts.failed > 0 ? 1 : 0;
