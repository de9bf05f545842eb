/** Where both programs begin: a command runs in this process, or in one that this process supervises. Loads nothing but the one of them. */

/** They run models as they are found in files. `bench` has processes of its own for that; `convert` runs only what it has built itself. */
const SUPERVISED = new Set(['eval', 'verify', 'export']);

/** Not for help, which computes nothing, nor under a debugger, which wants one process. */
const isSupervised = ([command = '', ...rest]: readonly string[]): boolean =>
  SUPERVISED.has(command) &&
  !rest.some((argument) => argument === '--help' || argument === '-h') &&
  !process.execArgv.some((flag) => flag.startsWith('--inspect'));

/** Loads what runs the command. */
export async function programFor(argv: readonly string[]): Promise<(argv: readonly string[]) => Promise<void>> {
  if (isSupervised(argv)) return (await import('./supervise.js')).supervise;
  const {start} = await import('./start.js');
  return (own) => start(own, {signals: 'from the system'});
}
