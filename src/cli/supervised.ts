/** A command in a process of its own, where its engine may block the thread for ever. */
import {watchEngineCalls} from '../core/engine-calls.js';
import {watchHidden} from '../core/temporary.js';
import {supervisedBy} from '../eval/guard.js';
import {start} from './start.js';
import {obeySignal, stopSignalNames} from './stop-signals.js';
import type {FromSupervised, ToSupervised} from './supervisor-protocol.js';

const tell = (message: FromSupervised): void => {
  if (process.connected) process.send!(message, () => {}); // the supervisor may be gone
};

/** The first argument of the process is its supervisor's process id. */
export async function runSupervised(): Promise<void> {
  for (const signal of stopSignalNames)
    process.on(signal, () => {
      if (!process.connected) obeySignal(signal);
    });
  process.on('message', ({stop}: ToSupervised) => {
    tell({heard: true});
    if (stop !== null) obeySignal(stop);
  });
  process.on('disconnect', () => process.exit(1));
  process.channel?.unref(); // the channel alone is no reason to go on
  watchHidden((folder, held) => tell({folder, held}));
  watchEngineCalls((engineMs) => tell({engineMs}));

  const [node, program, supervisor, ...argv] = process.argv as [string, string, string, ...string[]];
  process.argv = [node, program, ...argv]; // oclif's help reads it
  supervisedBy(Number(supervisor));
  await start(argv, {signals: 'from the supervisor'});
}
