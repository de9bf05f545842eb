/** Where a model comes from and what was measured, as it is written into the model. No times and no paths: the same input gives the same bytes. */
import type {Checkpoint} from '../checkpoint/checkpoint.js';
import {producer} from '../core/version.js';
import {leftOut, type Recognised} from '../models/recognise.js';
import {withoutText} from '../models/unknown-keys.js';
import {gpdEntries} from '../onnx/gpd-metadata.js';
import type {Proof} from './prove.js';

export interface Origin {
  recognised: Recognised;
  checkpoint: Checkpoint;
  sha256: string;
  emit: string;
  proof: Proof | undefined;
  labels: readonly string[] | undefined;
}

export function provenance({recognised: r, checkpoint, sha256, emit, proof, labels}: Origin): Map<string, string> {
  const without = leftOut(r);
  const isPartial = without.length > 0;
  return new Map(
    gpdEntries({
      version: producer.version,
      sourceSha256: sha256,
      sourceStateDict: checkpoint.stateDictKey ?? '(the file itself)',
      sourcePrefix: r.prefix === '' ? undefined : r.prefix,
      ...{form: emit, arch: r.arch.name, kind: r.kind, ratio: r.form.ratio, orepa: r.form.orepa.size},
      proofImages: proof?.images.length,
      proofMaxAbs: proof?.maxAbs,
      proofMaxRelative: proof?.relative,
      proofBound: proof?.bound,
      without: isPartial ? without : undefined,
      proofClaim: isPartial && proof ? `proven for ${withoutText(without)}` : undefined,
      labels,
    }),
  );
}
