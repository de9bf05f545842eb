/** Results as files under construction: ONNX models with their external data, and weights for PyTorch. */
import {basename} from 'node:path';
import {writeSafetensors} from '../checkpoint/write-safetensors.js';
import {orderedStateDict, writeTorch} from '../checkpoint/write-torch.js';
import type {StagedFile, Staging} from '../core/output.js';
import type {StateDict} from '../core/tensor.js';
import {encodeModel} from '../onnx/encode.js';
import {refuseNonFinite} from '../onnx/fold-constants.js';
import type {Model} from '../onnx/graph.js';

export interface WrittenModel {
  file: StagedFile;
  bytes: number;
  /** Of the file with the weights of a model over 2 GB, which lies beside it. */
  externalBytes: number;
}

/** Throws WEIGHTS_NOT_FINITE where a weight that no pass has looked at is NaN or infinite. */
export function stageModel(model: Model, path: string, staging: Staging): WrittenModel {
  for (const v of model.graph.initializers) {
    if (v.dtype === 'float32') refuseNonFinite(v.initializer!.name ?? v.name, v.initializer!.read());
  }
  const encoded = encodeModel(model, {location: `${basename(path)}.data`});
  if (encoded.external) stage(`${path}.data`, encoded.external.chunks(), staging); // first: the model never lies there without it
  const file = stage(path, encoded.chunks(), staging);
  return {file, bytes: encoded.byteLength, externalBytes: encoded.external?.byteLength ?? 0};
}

function stage(path: string, chunks: Iterable<Uint8Array>, staging: Staging): StagedFile {
  const file = staging.create(path);
  for (const chunk of chunks) file.write(chunk);
  file.finish();
  return file;
}

type Writer = (weights: StateDict, sink: (bytes: Uint8Array) => void) => void;
/** THE table of formats for weights alone. */
export const weightsFormats = {
  safetensors: (weights, sink) => writeSafetensors(weights, sink, {format: 'pt'}),
  pth: (weights, sink) => writeTorch(orderedStateDict(weights), sink),
} as const satisfies Record<string, Writer>;
export type WeightsFormatName = keyof typeof weightsFormats;

/** Gives the number of bytes. */
export function stageWeights(weights: StateDict, format: WeightsFormatName, path: string, staging: Staging): number {
  const file = staging.create(path);
  let bytes = 0;
  weightsFormats[format](weights, (chunk) => {
    bytes += chunk.length;
    file.write(chunk);
  });
  file.finish();
  return bytes;
}
