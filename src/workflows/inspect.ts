/** What is in a file: a checkpoint of any container, or an ONNX model. Told by the first bytes; only then by the name. */
import {checkpointSource} from '../checkpoint/checkpoint-source.js';
import type {RecogniseOptions} from '../models/recognise.js';
import {isModel} from '../onnx/is-model.js';
import type {CheckpointSummary} from './summaries/checkpoint.js';
import type {OnnxSummary} from './summaries/model.js';

/** What is in a file; `kind` tells which. */
export type FileSummary = CheckpointSummary | OnnxSummary;

/** What the tensors of a checkpoint may leave open, and how much of a model is shown. */
export interface InspectOptions extends RecogniseOptions {
  /** Of the moving average of a checkpoint's weights. Default false. */
  ema?: boolean | undefined;
  /** The state dict under this key, such as `net` or `checkpoint.model`, of a file with several. Wins over `ema`. */
  key?: string | undefined;
  /** Also an ONNX model as text, a line for each value. Default false. */
  text?: boolean | undefined;
}

/** Throws GpdError: the codes of reading checkpoints and models. */
export async function inspectFile(
  path: string,
  {ema = false, text = false, ...open}: InspectOptions = {},
): Promise<FileSummary> {
  const options = {...open, ema, text};
  const source = checkpointSource(path);
  if (isModel(source)) {
    const {inspectModel} = await import('./summaries/model.js');
    return inspectModel(source, options);
  }
  const {inspectCheckpoint} = await import('./summaries/checkpoint.js');
  return inspectCheckpoint(source, options);
}
