/** Which forms are made, and where they go. */
import {basename, extname, join} from 'node:path';
import {GpdError} from '../../core/error.js';
import {type FormatName, formats, type ModelFormat, type WeightsFormat} from '../../export/formats.js';
import type {Precision} from '../../export/precision.js';
import {type PrecisionName, precisions} from '../../export/precisions.js';
import {isFolder, stemOf} from '../output-paths.js';

export interface PlannedForm {
  /** `fp16 onnx`: unique. */
  readonly name: string;
  readonly precision: PrecisionName;
  readonly format: FormatName;
  readonly path: string;
}

/** Weights are numbers, not arithmetic: integers without their scales would be of no use to PyTorch. */
const weightPrecisions: ReadonlySet<string> = new Set(['fp32', 'fp16'] satisfies PrecisionName[]);

const withoutExtension = (path: string): string => path.slice(0, path.length - extname(path).length);

/**
 * Without `output`: named after the input, in the current folder. With a folder (it exists, or ends with a slash): named so in it. Else
 * `output` is the file where there is one form; of several it gives the name, and each its own ending.
 */
export function planForms(
  input: string,
  wanted: {precisions: readonly PrecisionName[]; formats: readonly FormatName[]},
  output?: string,
): PlannedForm[] {
  const pairs = wanted.precisions.flatMap((precision) => wanted.formats.map((format) => ({precision, format})));
  const possible = pairs.filter(({precision, format}) => formats[format].kind === 'model' || weightPrecisions.has(precision));
  if (possible.length === 0)
    throw new GpdError('EXPORT_REFUSED', `weights for PyTorch in ${wanted.precisions.join(', ')}`, {
      hint: `they are written in ${[...weightPrecisions].join(' and ')}`,
    });
  const alone = possible.length === 1 && output !== undefined && !isFolder(output);
  const stem = output === undefined || isFolder(output) ? join(output ?? '', stemOfInput(input)) : withoutExtension(output);
  return possible.map(({precision, format}) => {
    const entry: Precision = precisions[precision];
    const {suffix}: ModelFormat | WeightsFormat = formats[format];
    return {name: `${precision} ${format}`, precision, format, path: alone ? output : `${stem}${entry.suffix}${suffix}`};
  });
}

/** `student.onnx` → `student`; checkpoints as `gpd convert` names them. */
function stemOfInput(input: string): string {
  const name = basename(input);
  return /\.onnx$/i.test(name) ? name.slice(0, -'.onnx'.length) : stemOf(name);
}
