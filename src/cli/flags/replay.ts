/** Flags of `gpd train --replay`. */
import * as Flags from '@oclif/core/flags';
import type {InferredFlags} from '@oclif/core/interfaces';
import type {BackendName} from '../../tfjs/backend/select-backend.js';
import type {FloatPrecision} from '../../tfjs/lowering/value.js';
import type {Compat} from '../../train/step/compat.js';
import type {ReplayRequest} from '../../workflows/replay.js';

const helpGroup = 'replay';

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
  precision: Flags.string({
    description: 'compute in float64, which tells rounding from mistakes, or in float32 as training does',
    options: ['float64', 'float32'],
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

type Flagged = InferredFlags<typeof replayFlags> & {
  readonly force: boolean;
  readonly compat?: string | undefined;
  readonly backend?: string | undefined;
};

/** What `--replay` asks for; undefined without it. The flags of training have checked the names. */
export function replayRequest({
  replay,
  trace,
  grads,
  final,
  precision,
  compat,
  backend,
  force,
}: Flagged): ReplayRequest | undefined {
  if (replay === undefined || trace === undefined) return undefined;
  return {
    ...{folder: replay, trace, grads, final, force},
    compat: (compat ?? 'default') as Compat,
    backend: (backend ?? 'auto') as BackendName | 'auto',
    precision: precision as FloatPrecision | undefined,
  };
}
