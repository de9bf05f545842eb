/** Checkpoints: reading them, knowing what network they hold, and writing weights. */
export type {Checkpoint} from '../checkpoint/checkpoint.js';
export {type OpenOptions, openCheckpoint} from '../checkpoint/open.js';
export {writeSafetensors} from '../checkpoint/write-safetensors.js';
export {orderedStateDict, type SaverContents, saverLayout, writeTorch, writeTorchLegacy} from '../checkpoint/write-torch.js';
export {deployedWeights} from '../convert/deployed-weights.js';
export {type ArchName, archNames, archs} from '../models/families/index.js';
export {type Recognised, type RecogniseOptions, recognise} from '../models/recognise.js';
