/**
 * THE table of training options: what each does, what it is unless said otherwise, and what the original calls it (its CNN and
 * its RVT programs name things differently). Flags, configuration files, `--help` and docs/training.md are all made from it.
 */
import {
  choice,
  integer,
  list,
  moment,
  names,
  number,
  type OptionKind,
  optional,
  text,
  toggle,
} from '../../core/option-kinds.js';
import type {TrainingDefaults} from '../../models/families/family.js';
import {archNames} from '../../models/families/index.js';
import {compatNames} from '../step/compat.js';
import {gpdLossNames} from '../step/losses/gpd-losses.js';
import {type LossOptionTable, lossOptions, staticLosses, staticLossNames} from '../step/losses/index.js';
import type {ValuesOf} from '../step/losses/static-loss.js';

/** What defaults may depend on. */
export interface DefaultsContext {
  readonly arch: string;
  readonly family: TrainingDefaults;
  readonly epochs: number;
  readonly imageSize: number;
}

export type Group = 'network' | 'data' | 'augmentation' | 'distillation' | 'optimisation' | 'run';

export interface Option<T> {
  readonly group: Group;
  /** A fragment, for help. */
  readonly describe: string;
  readonly kind: OptionKind<T>;
  readonly fallback: (context: DefaultsContext) => T;
  /** Options of the original: `train_dkd.py` and `train_reviewkd.py`, and `main_gpd.py`. */
  readonly cnn?: string;
  readonly rvt?: string;
  /** False: two runs that differ in it compute the same numbers. */
  readonly decides: boolean;
}

type Details<T> = {
  kind: OptionKind<T>;
  or: NoInfer<T> | ((context: DefaultsContext) => NoInfer<T>);
  cnn?: string;
  rvt?: string;
  decides?: boolean;
};

const group =
  (name: Group, decides = true) =>
  <T>(describe: string, {or, ...details}: Details<T>): Option<T> => ({
    decides,
    ...details,
    group: name,
    describe,
    fallback: typeof or === 'function' ? (or as (context: DefaultsContext) => T) : () => or,
  });
const by =
  <const T>(values: Record<TrainingDefaults, T>) =>
  ({family}: DefaultsContext): T =>
    values[family];

const network = group('network');
const data = group('data');
const augmentation = group('augmentation');
const distillation = group('distillation');
const optimisation = group('optimisation');
const run = group('run', false);

const weight = number({min: 0});
const fraction = number({min: 0, max: 1});
const path = text('PATH');
const key = optional(text('KEY'));
/** Smaller ones are padded and cropped, not resized: torchvision and timm draw the same line. */
export const MAX_PADDED_SIZE = 32;

type OfLosses = {readonly [K in keyof LossOptionTable]: Option<ValuesOf<LossOptionTable>[K]>};
const optionsOfLosses = Object.fromEntries(
  Object.entries(lossOptions).map(([name, {describe, ...details}]) => [name, distillation(describe, details)]),
) as unknown as OfLosses;
const originalSwitches = Object.values(staticLosses)
  .flatMap(({original}: {original?: string}) => original ?? [])
  .join(', ');

export const options = {
  arch: network('network of the student', {kind: choice(...archNames), or: 'resnet18', cnn: '--net_version', rvt: '--model'}),
  ratio: network('how many times as wide the dynamic teacher is; 1 trains the student alone', {
    kind: integer({min: 1, max: 16}),
    or: 2,
    cnn: '--gpd_ratio, --skip_es',
    rvt: '--gpd_ratio, --skip_es',
  }),
  orepa: network('train 3x3 convolutions of stride 1 as the sum of six branches', {
    kind: toggle,
    or: false,
    cnn: '--use_orepa',
    rvt: '--use_orepa',
  }),
  pretrained: network('checkpoint of the student to start from', {
    kind: optional(path),
    or: null,
    cnn: '--load_tiny_model_file_path',
    rvt: '--pretrain_path',
  }),
  'pretrained-ema': network('start from its moving average', {
    kind: toggle,
    or: false,
    cnn: '--tiny_eval_model_ema',
    rvt: '--eval_model_ema',
  }),
  'pretrained-key': network('which state dict of that file, where it holds several', {kind: key, or: null}),
  'new-head': network('draw its classifier anew, as is done where the classes are others', {kind: toggle, or: false}),
  initial: network('checkpoint of the whole widened network to start from, at epoch 0', {
    kind: optional(path),
    or: null,
    cnn: '--load_model_file_path',
  }),
  'initial-ema': network('start from its moving average', {kind: toggle, or: false, cnn: '--eval_model_ema'}),
  'initial-key': network('which state dict of that file, where it holds several', {kind: key, or: null}),
  seed: network('seed of weights, order, augmentation and mixing', {
    kind: integer({min: 0}),
    or: by({cnn: 42, rvt: 0, cifar: 0}),
    cnn: '--seed',
    rvt: '--seed',
  }),

  data: data('training images: a folder or archive of classes, or a folder with train/ and val/', {
    kind: optional(path),
    or: null,
    cnn: '--train_data_dir',
    rvt: '--data-path, --data-set',
  }),
  val: data('images to measure on after each epoch; default: val/ or test/ beside train/, the test batch of CIFAR', {
    kind: optional(path),
    or: null,
  }),
  'label-column': data('which label, where the set has several: a column of a table, a key of JSON, coarse of CIFAR-100', {
    kind: optional(text('NAME')),
    or: null,
  }),
  'image-size': data('pixels a side', {
    kind: integer({min: 1}),
    or: ({imageSize}) => imageSize,
    cnn: '--train-crop-size, --val-crop-size',
    rvt: '--input-size',
  }),
  'val-resize': data('short side of validation images before the crop; 0: not resized', {
    kind: integer({min: 0}),
    or: ({family, imageSize}) => (family === 'cifar' ? 0 : Math.floor((256 * imageSize) / 224)),
    cnn: '--val-resize-size',
  }),
  interpolation: data('filter of every resize', {
    kind: choice('bilinear', 'bicubic'),
    or: by({cnn: 'bilinear', rvt: 'bicubic', cifar: 'bilinear'}),
    rvt: '--train-interpolation',
  }),
  samples: data('train on only so many images, evenly spread over the set', {kind: optional(integer({min: 1})), or: null}),
  'val-samples': data('measure on only so many images', {kind: optional(integer({min: 1})), or: null}),

  crop: augmentation(
    'how training images are cut: a random part resized, padding of 4 and a random place, or as in validation',
    {
      kind: choice('resized', 'padded', 'centre'),
      or: ({imageSize}) => (imageSize <= MAX_PADDED_SIZE ? 'padded' : 'resized'),
    },
  ),
  'crop-area': augmentation('least and largest part of the image that a resized crop covers', {
    kind: list(fraction, {length: 2}),
    or: [0.08, 1],
  }),
  flip: augmentation('probability of a horizontal flip', {kind: fraction, or: 0.5}),
  'rand-augment': augmentation('policy of RandAugment, as timm writes it: rand-m9-mstd0.5-inc1', {
    kind: optional(text('POLICY')),
    or: by({cnn: null, rvt: 'rand-m9-mstd0.5-inc1', cifar: null}),
    rvt: '--aa',
  }),
  'color-jitter': augmentation('range of brightness, contrast and saturation; only without RandAugment', {
    kind: weight,
    or: 0,
    rvt: '--color-jitter',
  }),
  erasing: augmentation('probability of erasing a rectangle', {
    kind: fraction,
    or: by({cnn: 0, rvt: 0.25, cifar: 0}),
    rvt: '--reprob',
  }),
  'erasing-mode': augmentation('what an erased rectangle is filled with: noise, one random colour, or the mean', {
    kind: choice('pixel', 'rand', 'const'),
    or: 'pixel',
    rvt: '--remode',
  }),
  'erasing-count': augmentation('most rectangles in an image', {kind: integer({min: 1}), or: 1, rvt: '--recount'}),
  repeats: augmentation('how often an image occurs in an epoch, augmented differently; the epoch stays as long', {
    kind: integer({min: 1}),
    or: by({cnn: 1, rvt: 3, cifar: 1}),
    rvt: '--repeated-aug',
  }),
  mixup: augmentation('alpha of mixup; 0: none', {kind: weight, or: by({cnn: 0, rvt: 0.8, cifar: 0}), rvt: '--mixup'}),
  cutmix: augmentation('alpha of CutMix; 0: none', {kind: weight, or: by({cnn: 0, rvt: 1, cifar: 0}), rvt: '--cutmix'}),
  'cutmix-minmax': augmentation('least and largest side of a pasted box as parts of the image, instead of the alpha', {
    kind: optional(list(fraction, {length: 2})),
    or: null,
    rvt: '--cutmix-minmax',
  }),
  'mixup-prob': augmentation('probability of mixing a batch', {kind: fraction, or: 1, rvt: '--mixup-prob'}),
  'mixup-switch-prob': augmentation('probability of CutMix where both are on', {
    kind: fraction,
    or: 0.5,
    rvt: '--mixup-switch-prob',
  }),
  'label-smoothing': augmentation('part of a label that is spread over all classes', {
    kind: number({min: 0, max: 0.999}),
    or: by({cnn: 0, rvt: 0.1, cifar: 0}),
    cnn: '--label-smoothing',
    rvt: '--smoothing',
  }),

  'gpd-loss': distillation('what draws the student towards the dynamic teacher', {
    kind: choice(...gpdLossNames),
    or: 'sce',
    cnn: '--kd_loss_type',
    rvt: '--kd_loss_type',
  }),
  'gpd-weight': distillation('its weight', {kind: weight, or: 3, cnn: '--kd_ratio', rvt: '--kd_ratio'}),
  'gpd-start': distillation('first epoch with that loss', {kind: integer({min: 0}), or: 0, rvt: '--start-gpd-epoch'}),
  'teacher-loss-weight': distillation('weight of the dynamic teacher’s own loss; 0 leaves it out', {
    kind: weight,
    or: 1,
    cnn: '--skip_expanded',
    rvt: '--expanded_loss_weight, --skip_expanded',
  }),
  teacher: distillation('static teacher', {
    kind: optional(text('ARCH:FILE')),
    or: null,
    cnn: '--teacher, --teacher-weight',
    rvt: '--teacher, --teacher-weight',
  }),
  'teacher-key': distillation('which state dict of its file, where it holds several', {kind: key, or: null}),
  kd: distillation(
    `what is learnt from the static teacher: one or more of ${staticLossNames.join(', ')}, with commas between`,
    {
      kind: optional(names(staticLossNames, {both: ['reviewkd', 'dkd']})),
      or: null,
      cnn: originalSwitches,
      rvt: originalSwitches,
    },
  ),
  'kd-for': distillation('who learns from the static teacher', {
    kind: choice('both', 'student'),
    or: 'both',
    cnn: '--deactive_kd_static_teacher',
    rvt: '--deactive_kd_static_teacher',
  }),
  ...optionsOfLosses,
  compat: distillation('do the right thing where the original errs, or what it does', {
    kind: choice(...compatNames),
    or: 'default',
  }),

  epochs: optimisation('epochs', {
    kind: integer({min: 1}),
    or: by({cnn: 100, rvt: 310, cifar: 30}),
    cnn: '--epoch_init',
    rvt: '--epochs, --cooldown-epochs',
  }),
  'batch-size': optimisation('images in a step', {
    kind: integer({min: 1}),
    or: by({cnn: 512, rvt: 2048, cifar: 128}),
    cnn: '--batch_size',
    rvt: '--batch-size',
  }),
  'drop-last': optimisation('leave out the images of an epoch that fill no batch', {
    kind: toggle,
    or: by({cnn: false, rvt: true, cifar: false}),
  }),
  optimizer: optimisation('optimiser', {
    kind: choice('sgd', 'nesterov', 'rmsprop', 'adamw'),
    or: by({cnn: 'sgd', rvt: 'adamw', cifar: 'sgd'}),
    cnn: '--opt',
    rvt: '--opt',
  }),
  lr: optimisation('learning rate', {
    kind: number({above: 0}),
    or: by({cnn: 0.1, rvt: 0.002, cifar: 0.1}),
    cnn: '--learning_rate',
    rvt: '--lr',
  }),
  momentum: optimisation('momentum', {kind: fraction, or: 0.9, cnn: '--momentum', rvt: '--momentum'}),
  betas: optimisation('decays of AdamW’s moments', {
    kind: list(fraction, {length: 2}),
    or: [0.9, 0.999],
    rvt: '--opt-betas',
  }),
  'opt-eps': optimisation('term in the denominator of AdamW', {kind: number({above: 0}), or: 1e-8, rvt: '--opt-eps'}),
  'weight-decay': optimisation('weight decay', {
    kind: weight,
    or: by({cnn: 1e-4, rvt: 0.05, cifar: 1e-4}),
    cnn: '--weight-decay',
    rvt: '--weight-decay',
  }),
  decay: optimisation('which parameters decay: all, or those of two and more dimensions that are no bias', {
    kind: choice('all', 'matrices'),
    or: by({cnn: 'all', rvt: 'matrices', cifar: 'all'}),
  }),
  'norm-weight-decay': optimisation('weight decay of normalisation layers, where another', {
    kind: optional(weight),
    or: null,
    cnn: '--norm-weight-decay',
  }),
  'bias-weight-decay': optimisation('weight decay of biases, where another', {
    kind: optional(weight),
    or: null,
    cnn: '--bias-weight-decay',
  }),
  'clip-norm': optimisation('largest norm of the gradient; 0: any', {
    kind: weight,
    or: by({cnn: 5, rvt: 0, cifar: 5}),
    cnn: '--clip-grad-norm',
    rvt: '--clip-grad',
  }),
  schedule: optimisation('how the learning rate falls', {
    kind: choice('step', 'cosine'),
    or: by({cnn: 'step', rvt: 'cosine', cifar: 'step'}),
    rvt: '--sched',
  }),
  'lr-steps': optimisation('after how many epochs the rate falls to a tenth, each time; 50% is half of --epochs', {
    kind: list(moment),
    or: by({cnn: ['30%', '60%', '90%'], rvt: ['30%', '60%', '90%'], cifar: ['50%', '75%']}),
    cnn: '--lr_adjust_step',
  }),
  'warmup-epochs': optimisation('epochs in which it rises first', {
    kind: integer({min: 0}),
    or: by({cnn: 0, rvt: 5, cifar: 0}),
    cnn: '--lr-warmup-epochs',
    rvt: '--warmup-epochs',
  }),
  'warmup-lr': optimisation('where the cosine schedule’s rise begins', {kind: weight, or: 1e-6, rvt: '--warmup-lr'}),
  'min-lr': optimisation('where the cosine schedule ends', {kind: weight, or: 1e-5, rvt: '--min-lr'}),
  'cooldown-epochs': optimisation('last epochs, at that rate', {
    kind: integer({min: 0}),
    or: by({cnn: 0, rvt: 10, cifar: 0}),
    rvt: '--cooldown-epochs',
  }),
  ema: optimisation('keep a moving average of the weights', {kind: toggle, or: true, cnn: '--model-ema', rvt: '--model-ema'}),
  'ema-decay': optimisation('its decay at each step', {
    kind: fraction,
    or: 0.99996,
    cnn: '--model-ema-decay',
    rvt: '--model-ema-decay',
  }),

  out: run('folder of the run', {
    kind: text('DIR'),
    or: ({arch}) => `runs/${arch}`,
    cnn: '--checkpoint_dir, --tensorboard_dir',
    rvt: '--output_dir',
  }),
  keep: run('best checkpoints to keep', {kind: integer({min: 1}), or: 5, cnn: '--checkpoint-hist'}),
  'save-every': run('steps between saved states within an epoch; 0: only after epochs', {kind: integer({min: 0}), or: 500}),
  'log-every': run('steps between lines of the log', {kind: integer({min: 1}), or: 50, cnn: '--log-interval'}),
  'eval-first': run('measure before the first step too', {kind: toggle, or: false, rvt: '--eval-first'}),
  'on-nan': run('when a loss is no number: stop, or go back to the last epoch with another order of images', {
    kind: choice('stop', 'rollback'),
    or: 'stop',
    decides: true,
  }),
  'on-error': run(
    'at an image that cannot be read: stop, or skip: others take the places of such images, which are counted and listed',
    {
      kind: choice('stop', 'skip'),
      or: 'stop',
    },
  ),
  backend: run('what computes', {
    kind: choice('auto', 'onnxruntime', 'cpu', 'tensorflow'),
    or: 'auto',
    rvt: '--device',
    decides: true,
  }),
  threads: run('threads of the computation', {kind: optional(integer({min: 1})), or: null}),
  workers: run('threads that prepare images beside the main one; the decoder has its own', {
    kind: integer({min: 0}),
    or: 0,
    cnn: '--workers',
    rvt: '--num_workers',
  }),
  convert: run('convert the best student afterwards, and prove it', {kind: toggle, or: true}),
} as const;

export type OptionName = keyof typeof options;
export const optionNames = Object.keys(options) as OptionName[];
/** Every option with its value. */
export type TrainOptions = {readonly [K in OptionName]: (typeof options)[K] extends Option<infer T> ? T : never};
