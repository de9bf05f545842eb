/** What the options of each function may be; the commands' flags have the same bounds. */
import type {StateDictChoice} from '../checkpoint/state-dicts.js';
import {emitNames, MAX_WRITTEN_OPSET, MIN_OPSET} from '../convert/build.js';
import type {ConvertOptions} from '../convert/convert.js';
import type {Recipe} from '../data/recipe.js';
import type {GateOptions} from '../eval/gates.js';
import {formatNames} from '../export/formats.js';
import {precisionNames} from '../export/precisions.js';
import {resizerNames} from '../export/preprocess/resize.js';
import {rangeMethods} from '../export/quantise/ranges.js';
import {targetNames} from '../export/targets.js';
import {batchNormChoices, weightNames} from '../export/weights.js';
import {stemChoices} from '../models/families/family.js';
import type {RecogniseOptions} from '../models/recognise.js';
import {providerNames} from '../onnx/providers.js';
import {presetNames} from '../train/options/presets.js';
import type {BenchFilesOptions} from '../workflows/bench.js';
import type {EvaluateFilesOptions} from '../workflows/evaluate.js';
import type {ExportFileOptions} from '../workflows/export/options.js';
import type {InspectOptions} from '../workflows/inspect.js';
import {weightsFormatNames} from '../workflows/output-paths.js';
import type {TrainFilesOptions} from '../workflows/train.js';
import type {TrainLayers} from '../workflows/train-options.js';
import type {VerifyFilesOptions} from '../workflows/verify.js';
import * as is from './check-options.js';

const count = is.whole(1);
const paths =
  (names: readonly string[]): is.OptionRule =>
  (value) => {
    const isPaths =
      is.plainObject(value) === undefined &&
      Object.values(value as object).every((path) => path === undefined || is.text(path) === undefined);
    const other = isPaths ? Object.keys(value as object).find((name) => !names.includes(name)) : '';
    return other === undefined ? undefined : `paths by name: ${names.join(', ')}`;
  };

const recognise: is.Rules<RecogniseOptions & Pick<StateDictChoice, 'ema' | 'key'>> = {
  ema: is.toggle,
  key: is.text,
  prefix: is.either(is.text, is.oneOf([''])),
  ratio: count,
  arch: is.text,
  heads: is.listOf(count),
  stem: is.oneOf(stemChoices),
  imageSize: count,
  ignore: is.listOf(is.text),
};
const gates = is.shape<GateOptions>({minTop1: is.finite, maxDrop: is.finite, minAgreement: is.finite});
const int8 = is.shape<NonNullable<ExportFileOptions['int8']>>({
  method: is.oneOf(Object.keys(rangeMethods)),
  activations: is.oneOf(['asymmetric', 'symmetric']),
  weightRange: is.oneOf(['full', 'reduced']),
  allowFloat: is.toggle,
});
const overrides = is.shape<Recipe>({
  ...{resize: count, crop: count, interpolation: is.oneOf(['bilinear', 'bicubic'])},
  ...{mean: is.listOf(is.finite), std: is.listOf(is.finite), order: is.oneOf(['rgb', 'bgr'])},
});
const engine = {provider: is.oneOf(['auto', ...providerNames]), device: is.whole(0), threads: count, strict: is.toggle};
const images = {
  ...{
    data: is.text,
    labels: is.text,
    labelBase: is.oneOf([0, 1]),
    labelColumn: is.text,
    strictData: is.toggle,
    workers: is.whole(0),
  },
  ...{
    recipe: is.oneOf(['cnn', 'rvt', 'cifar']),
    overrides,
    onError: is.oneOf(['stop', 'skip']),
    fast: is.toggle,
  },
};
const watched = {onProgress: is.callback, signal: is.abortSignal};
const phases = {onPlan: is.callback, onPhase: is.callback, signal: is.abortSignal};
const opset = is.whole(MIN_OPSET, MAX_WRITTEN_OPSET);

export const convertRules: is.Rules<ConvertOptions> = {
  ...{...recognise, ...phases, opset, batch: count, inputName: is.text, outputName: is.text, force: is.toggle},
  ...{outputs: paths(emitNames), weights: paths(weightsFormatNames), seed: is.finite, labels: is.listOf(is.text)},
};
export const inspectRules: is.Rules<InspectOptions> = {...recognise, text: is.toggle};
export const evaluateRules: is.Rules<EvaluateFilesOptions> = {
  ...{...recognise, ...engine, ...images, ...watched, explainProvider: is.toggle, batchSize: count},
  outputName: is.text,
  ...{
    samples: count,
    restrictClasses: is.toggle,
    resume: is.toggle,
    state: is.either(is.text, is.oneOf([null])),
    gates,
    onResult: is.callback,
  },
};
export const verifyRules: is.Rules<VerifyFilesOptions> = {
  ...{...recognise, ...engine, ...images, ...watched, role: is.oneOf(['student', 'teacher'])},
  ...{samples: count, seed: is.finite, tolerance: is.finite, layers: is.toggle, outputName: is.text},
};
export const benchRules: is.Rules<BenchFilesOptions> = {
  ...{...watched, provider: engine.provider, device: engine.device, threads: is.listOf(count), batches: is.listOf(count)},
  ...{rounds: is.whole(2), roundMs: count, memoryLimit: count, imageSize: count},
};
const {labels: _, labelBase: __, fast: ___, labelColumn: ____, ...preparation} = images;
export const exportRules: is.Rules<ExportFileOptions> = {
  ...{...recognise, ...preparation, ...phases, output: is.text, force: is.toggle, threads: count},
  ...{
    precisions: is.listOf(is.oneOf(precisionNames)),
    formats: is.listOf(is.oneOf(formatNames)),
    target: is.oneOf(targetNames),
  },
  ...{opset, batch: is.either(count, is.oneOf(['dynamic'])), io: is.oneOf(['float32', 'float16']), externalData: is.toggle},
  ...{embed: is.toggle, resizer: is.oneOf(resizerNames), softmax: is.toggle, topK: count, labels: is.listOf(is.text)},
  ...{batchNorm: is.oneOf(batchNormChoices), names: is.oneOf(weightNames), calibrate: is.text, calibrationSamples: count},
  ...{int8, checkSamples: count, gates, rounds: is.whole(0), onEvaluation: is.callback},
  ...{memoryLimit: count, outputName: is.text},
};
export const trainRules: is.Rules<TrainFilesOptions & TrainLayers> = {
  ...{...watched, onPhase: is.callback, onNote: is.callback, resume: is.toggle, strictData: is.toggle, command: is.text},
  ...{preset: is.oneOf(presetNames), config: is.text},
};
