/** One program on one backend, in a process of its own: `cpu|onnxruntime NAME`. Prints what each epoch cost. */
import {selectBackend} from '../src/tfjs/backend/select-backend.js';
import {type EpochCost, fits, train} from './fit-programs.js';

export interface FitCost {
  epochs: readonly EpochCost[];
  /** The most memory that the process ever held. */
  peakBytes: number;
}

const [backend, name] = process.argv.slice(2) as ['cpu' | 'onnxruntime', string];
await selectBackend(backend);
const cost: FitCost = {epochs: await train(fits[name]!), peakBytes: process.resourceUsage().maxRSS * 1024};
console.log(JSON.stringify(cost));
