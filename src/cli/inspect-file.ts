/** What is in a file: a checkpoint of any container, or an ONNX model. Told by the first bytes; only then by the name. */
import {type ByteSource, fileSource} from '../core/bytes.js';
import type {RecogniseOptions} from '../models/recognise.js';
import type {CheckpointSummary} from './checkpoint-summary.js';
import type {ModelSummary} from './model-summary.js';

export type FileSummary = CheckpointSummary | ModelSummary;

/** Throws GpdError: the codes of reading checkpoints and models. */
export async function inspectFile(
  path: string,
  options: RecogniseOptions & {ema: boolean; text: boolean},
): Promise<FileSummary> {
  const source = fileSource(path);
  if (isModel(source)) {
    const {inspectModel} = await import('./model-summary.js');
    return inspectModel(source, options);
  }
  const {inspectCheckpoint} = await import('./checkpoint-summary.js');
  return inspectCheckpoint(source, options);
}

/** A model nearly always begins with its first field, the IR version: key 0x08, a small number. Checkpoints never begin so. */
function isModel(source: ByteSource): boolean {
  const [first, second] = source.read(0, Math.min(2, source.size));
  if (first === 0x08 && second! < 0x20) return true;
  const isCheckpoint = (first === 0x50 && second === 0x4b) || first === 0x80;
  return source.name.endsWith('.onnx') && source.size > 0 && !isCheckpoint;
}
