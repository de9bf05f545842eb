// Runs a TypeScript program of this repository: `node scripts/run.js bench/run.ts …`. Bundled by esbuild, packages left outside.
import {mkdirSync} from 'node:fs';
import {join, resolve} from 'node:path';
import {pathToFileURL} from 'node:url';
import {build} from 'esbuild';

const [program, ...args] = process.argv.slice(2);
const outfile = resolve('build', `${program.replaceAll(/[/\\]/g, '-').replace(/\.ts$/, '')}.mjs`);
mkdirSync(join('build'), {recursive: true});
await build({
  entryPoints: [program],
  outfile,
  bundle: true,
  platform: 'node',
  format: 'esm',
  target: 'node20',
  packages: 'external',
  sourcemap: 'inline',
  logLevel: 'warning',
});
process.argv = [process.argv[0], outfile, ...args];
await import(pathToFileURL(outfile).href);
