// What both programs do: start the compiled command line, or say how to compile it.
import {existsSync} from 'node:fs';
import {fileURLToPath} from 'node:url';

const compiled = new URL('../dist/cli/start.js', import.meta.url);

export async function run(argv) {
  if (!existsSync(fileURLToPath(compiled))) {
    process.stderr.write('gpd is not built yet. Run this in its folder first: npm ci && npm run build\n');
    process.exit(1);
  }
  const {start} = await import(compiled.href);
  await start(argv);
}
