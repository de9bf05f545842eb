/** What an export may be asked for, and what it does unless it is. */
import {GpdError} from '../../core/error.js';
import type {PhaseHooks} from '../../core/phases.js';
import {type Filled, withDefaults} from '../../core/with-defaults.js';
import type {Recipe, RecipeName} from '../../data/recipe.js';
import type {Evaluation} from '../../eval/evaluation.js';
import type {GateOptions} from '../../eval/gates.js';
import type {FormatName} from '../../export/formats.js';
import type {Int8Options} from '../../export/precision.js';
import type {PrecisionName} from '../../export/precisions.js';
import type {ResizerName} from '../../export/preprocess/resize.js';
import type {TargetName} from '../../export/targets.js';
import type {BatchNormChoice, WeightNames} from '../../export/weights.js';
import type {SubjectOptions} from '../subjects.js';

/** What an export may be asked for; all of it may be absent. */
export interface ExportFileOptions extends SubjectOptions, PhaseHooks {
  /** A file, or a folder (it exists, or ends with a slash). Default: named after the input, in the current folder. */
  output?: string | undefined;
  /** Replace files that exist. Default false. */
  force?: boolean | undefined;
  /** Numbers to compute with. Default `['fp32']`. */
  precisions?: readonly PrecisionName[] | undefined;
  /** Kinds of files; each is written in each precision that it has. Default `['onnx']`. */
  formats?: readonly FormatName[] | undefined;
  /** The runtime that it is for: chooses opset, IR version and batch, refuses what it lacks. */
  target?: TargetName | undefined;
  opset?: number | undefined;
  /** A fixed batch size, or `dynamic`. Default: as the student has it. */
  batch?: number | 'dynamic' | undefined;
  /** Type of the images and logits of a float16 model. Default `float32`. */
  io?: 'float32' | 'float16' | undefined;
  /** Weights in a file of their own beside an ONNX model. Default false. */
  externalData?: boolean | undefined;
  /** Take photographs as bytes [N, H, W, 3] of any size: resize, crop and normalise inside the model. Default false. */
  embed?: boolean | undefined;
  /** How photographs are resized inside. Default: matrices, which are exact, or what the target can do. */
  resizer?: ResizerName | undefined;
  /** Also give probabilities. Default false. */
  softmax?: boolean | undefined;
  /** Also give the best K classes. */
  topK?: number | undefined;
  /** Names of the classes, in order. */
  labels?: readonly string[] | undefined;
  /** In weights for PyTorch: `keep` (default) batch norms, or `fold` them into the convolutions. */
  batchNorm?: BatchNormChoice | undefined;
  /** Names of the tensors of weights: the checkpoint's own (default), or timm's. */
  names?: WeightNames | undefined;
  /** Images from which ranges are measured. Default: random ones. */
  calibrate?: string | undefined;
  /** How many of them. Default 512. */
  calibrationSamples?: number | undefined;
  int8?: Pick<Int8Options, 'method' | 'activations' | 'weightRange' | 'allowFloat'> | undefined;
  /** Images with labels on which every form is evaluated beside the float32 student. */
  data?: string | undefined;
  /** Only so many of them, evenly spread. */
  checkSamples?: number | undefined;
  /** Bounds on accuracy that a form must hold to be written; they need `data`. */
  gates?: GateOptions | undefined;
  /** How images are prepared. Default: as the network was trained. */
  recipe?: RecipeName | undefined;
  /** What differs from the recipe. */
  overrides?: Partial<Recipe> | undefined;
  /** Threads that prepare images beside this one. */
  workers?: number | undefined;
  /** What to do with an image that cannot be read. Default `stop`. */
  onError?: 'stop' | 'skip' | undefined;
  /** What is noticed in the images is an error. Default false. */
  strictData?: boolean | undefined;
  /** Of each model. Default: one a core. */
  threads?: number | undefined;
  /** How often each form is timed in turn; 0: not at all. Default 5. */
  rounds?: number | undefined;
  onEvaluation?: ((evaluation: Evaluation, read: (index: number) => Promise<Uint8Array>) => Promise<void>) | undefined;
  /** Bytes that the process which times a form may take; see `bench`. */
  memoryLimit?: number | undefined;
}

/** What is not asked for. */
export const exportDefaults = {
  ema: false,
  force: false,
  precisions: ['fp32'],
  formats: ['onnx'],
  io: 'float32',
  externalData: false,
  embed: false,
  softmax: false,
  batchNorm: 'keep',
  names: 'original',
  calibrationSamples: 512,
  int8: {},
  gates: {},
  overrides: {},
  onError: 'stop',
  rounds: 5,
} as const;

/** With every default. */
export type ExportSettings = Filled<ExportFileOptions, keyof typeof exportDefaults>;

/** Throws EXPORT_REFUSED for gates that nothing could hold or miss. */
export function exportSettings(options: ExportFileOptions): ExportSettings {
  const settings = withDefaults(options, exportDefaults);
  const gated = Object.values(settings.gates).some((bound) => bound !== undefined);
  if (!gated || settings.data !== undefined) return settings;
  throw new GpdError('EXPORT_REFUSED', 'bounds on accuracy were given, but no images to measure it on', {
    hint: 'give images with labels (data), or leave out the gates',
  });
}
