/** Fixtures with other tensors in them: checkpoints as they come from outside. */
import {join} from 'node:path';
import {openCheckpoint} from '../src/checkpoint/open.js';
import {writeSafetensors} from '../src/checkpoint/write-safetensors.js';
import {fileSource} from '../src/core/bytes.js';
import {writeAtomically} from '../src/core/output.js';
import {float32, sourceOf, type Tensor} from '../src/core/tensor.js';
import type {RecogniseOptions} from '../src/models/recognise.js';
import {fixtureCase, fixtureNamed} from './cases.js';

/** Writes `rewritten.safetensors` into the folder; gives its path, and the flags that the fixture needs. */
export function rewritten(
  fixture: string,
  folder: string,
  change: (tensors: Map<string, Tensor>) => void,
): {path: string; flags: RecogniseOptions} {
  const {path: original, flags} = fixtureCase(fixtureNamed(fixture), 'weights');
  const {stateDict, args} = openCheckpoint(fileSource(original));
  const tensors = new Map([...stateDict].map(([key, source]) => [key, source.read()]));
  change(tensors);
  const path = join(folder, 'rewritten.safetensors');
  const sources = new Map([...tensors].map(([key, t]) => [key, sourceOf(t)]));
  writeAtomically(path, (write) => writeSafetensors(sources, write));
  const ratio = args?.get('gpd_ratio');
  return {path, flags: {...flags, ...(typeof ratio === 'number' && {ratio})}};
}

/** Every number of the tensors whose names begin so becomes another. */
export function changeNumbers(tensors: Map<string, Tensor>, prefix: string, to: (value: number, at: number) => number): void {
  for (const [key, t] of tensors)
    if (key.startsWith(prefix) && t.dtype === 'float32') tensors.set(key, float32(t.shape, (t.data as Float32Array).map(to)));
}
