/** Where a model comes from and what was measured, as it is written into the model. No times and no paths: the same input gives the same bytes. */
import type {Checkpoint} from '../checkpoint/checkpoint.js';
import {producer} from '../core/version.js';
import {leftOut, type Recognised} from '../models/recognise.js';
import {withoutText} from '../models/unknown-keys.js';
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
  const entries = new Map([
    ['gpd.version', producer.version],
    ['gpd.source.sha256', sha256],
    ['gpd.source.state_dict', checkpoint.stateDictKey ?? '(the file itself)'],
    ...(r.prefix === '' ? [] : [['gpd.source.prefix', r.prefix] as const]),
    ['gpd.form', emit],
    ['gpd.arch', r.arch.name],
    ['gpd.kind', r.kind],
    ['gpd.ratio', String(r.form.ratio)],
    ['gpd.orepa', String(r.form.orepa.size)],
  ]);
  if (proof) {
    entries.set('gpd.proof.images', String(proof.images.length));
    entries.set('gpd.proof.max_abs', proof.maxAbs.toExponential(3));
    entries.set('gpd.proof.max_relative', proof.relative.toExponential(3));
    entries.set('gpd.proof.bound', proof.bound.toExponential(0));
  }
  const without = leftOut(r);
  if (without.length > 0) {
    entries.set('gpd.without', JSON.stringify(without));
    if (proof) entries.set('gpd.proof.claim', `proven for ${withoutText(without)}`);
  }
  if (labels) entries.set('labels', JSON.stringify(labels));
  return entries;
}
