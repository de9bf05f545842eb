/** Flags of `gpd train --replay`. */
import * as Flags from '@oclif/core/flags';
import type {InferredFlags} from '@oclif/core/interfaces';
import type {BackendName} from '../tfjs/select-backend.js';
import {type Compat, compatNames} from '../train/compat.js';
import type {ReplayRequest} from './replay-folder.js';

const backends = ['auto', 'onnxruntime', 'tensorflow', 'cpu'] as const satisfies readonly (BackendName | 'auto')[];
const helpGroup = 'replay';

/** Shared with training itself. */
export const stepFlags = {
  compat: Flags.option({
    options: compatNames,
    description: 'reference: do what the original does, its faults included',
    default: 'default' as Compat,
  })(),
  backend: Flags.option({
    options: backends,
    description:
      'what computes: native TensorFlow, onnxruntime, or plain JavaScript; auto takes TensorFlow where it is installed',
    default: 'auto' as const,
  })(),
};

export const replayFlags = {
  replay: Flags.directory({
    description: 'run the stored steps of this folder (trajectory64.json, init.pth.tar, batches.safetensors), and stop',
    helpValue: 'DIR',
    dependsOn: ['trace'],
    helpGroup,
  }),
  trace: Flags.file({
    description: 'write the numbers of every replayed step here, as JSON',
    helpValue: 'FILE',
    dependsOn: ['replay'],
    helpGroup,
  }),
  grads: Flags.file({
    description: 'write the gradients of the first replayed step here, before clipping, as safetensors',
    helpValue: 'FILE',
    dependsOn: ['replay'],
    helpGroup,
  }),
  final: Flags.file({
    description: 'write the weights after the last replayed step here, and their moving average, as safetensors',
    helpValue: 'FILE',
    dependsOn: ['replay'],
    helpGroup,
  }),
};

type Flagged = InferredFlags<typeof stepFlags & typeof replayFlags> & {force: boolean};

/** What `--replay` asks for; undefined without it. */
export function replayRequest({replay, trace, grads, final, compat, backend, force}: Flagged): ReplayRequest | undefined {
  if (replay === undefined || trace === undefined) return undefined;
  return {folder: replay, trace, grads, final, compat, backend, force};
}
