/** THE table of kernels that are lowered. Every other kernel runs on TensorFlow.js's own cpu code. */
import type {KernelEntry} from '../lowering/kernel-entry.js';
import {binaryKernels} from './binary.js';
import {convKernels} from './conv.js';
import {castEntry} from './convert.js';
import {fillKernels} from './fill.js';
import {matmulKernels} from './matmul.js';
import {normalisationKernels} from './normalise.js';
import {poolKernels} from './pool.js';
import {reductionKernels} from './reduce.js';
import {resizeKernels} from './resize.js';
import {selectionKernels} from './select.js';
import {shapeKernels} from './shape.js';
import {unaryKernels} from './unary.js';

export const kernels: ReadonlyMap<string, KernelEntry> = new Map(
  Object.entries({
    ...unaryKernels,
    ...binaryKernels,
    ...reductionKernels,
    ...matmulKernels,
    ...convKernels,
    ...poolKernels,
    ...normalisationKernels,
    ...shapeKernels,
    ...selectionKernels,
    ...resizeKernels,
    ...fillKernels,
    Cast: castEntry,
  }),
);

/** Kernels whose cpu code makes a second handle on the same data and reads no numbers. */
export const viewKernels: ReadonlySet<string> = new Set(['ExpandDims', 'Identity', 'Reshape']);
/** Kernels without tensors: the host makes their numbers. */
export const hostKernels: ReadonlySet<string> = new Set(['LinSpace', 'Range']);
