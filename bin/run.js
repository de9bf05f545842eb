// What both programs do: start the compiled command line, or say how to compile it.
import {existsSync} from 'node:fs';
import {fileURLToPath} from 'node:url';

const compiled = new URL('../dist/cli/launch.js', import.meta.url);

export async function run(argv) {
  if (!existsSync(fileURLToPath(compiled))) {
    process.stderr.write('gpd is not built yet. Run this in its folder first: npm ci && npm run build\n');
    process.exit(1);
  }
  const program = await import(compiled.href).then(({programFor}) => programFor(argv)).catch(unreadable);
  await program(argv);
}

/** Before there is a program that could say it nicely. Everything else is a bug, and keeps its stack. */
export function unreadable(error) {
  if (error?.syscall === undefined) throw error;
  process.stderr.write(`gpd cannot start: ${error.message}\n`);
  if (error.code === 'EMFILE') process.stderr.write('Raise the limit of this shell: ulimit -n 1024\n');
  process.exit(1);
}
