/** What is in a file: a checkpoint of any container, or an ONNX model. Told by the first bytes; only then by the name. */
import {fileSource} from '../core/bytes.js';
import type {RecogniseOptions} from '../models/recognise.js';
import {isModel} from '../onnx/is-model.js';
import type {CheckpointSummary} from './summaries/checkpoint.js';
import type {ModelSummary} from './summaries/model.js';

export type FileSummary = CheckpointSummary | ModelSummary;

/** Throws GpdError: the codes of reading checkpoints and models. */
export async function inspectFile(
  path: string,
  options: RecogniseOptions & {ema: boolean; text: boolean},
): Promise<FileSummary> {
  const source = fileSource(path);
  if (isModel(source)) {
    const {inspectModel} = await import('./summaries/model.js');
    return inspectModel(source, options);
  }
  const {inspectCheckpoint} = await import('./summaries/checkpoint.js');
  return inspectCheckpoint(source, options);
}
