// The process that dist/cli/supervise.js starts.
import {unreadable} from './run.js';

const {runSupervised} = await import('../dist/cli/supervised.js').catch(unreadable);
await runSupervised();
