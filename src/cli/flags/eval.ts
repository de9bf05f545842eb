/** Flags that `gpd eval`, `gpd verify` and `gpd bench` share, and what they mean to `src/eval`. */
import {CLIError} from '@oclif/core/errors';
import * as Flags from '@oclif/core/flags';
import type {InferredFlags} from '@oclif/core/interfaces';
import type {LabelBase} from '../../data/label-base.js';
import type {ColourOrder, Recipe, RecipeName} from '../../data/recipe.js';
import {providerNames} from '../../onnx/providers.js';
import {exitCodes} from '../exit-codes.js';

const list = {multiple: true, multipleNonGreedy: true, delimiter: ','} as const;

/** `0.5`, or `1/255`. */
function fraction(text: string): number {
  const [over, under = '1', ...more] = text.split('/');
  const isNumber = more.length === 0 && [over!, under].every((part) => part.trim() !== '');
  return isNumber ? Number(over) / Number(under) : Number.NaN;
}

/** Three numbers, one for each colour, or one for all. */
const colours = Flags.custom<readonly [number, number, number]>({
  helpValue: 'R,G,B',
  helpGroup: 'images',
  parse: async (text) => {
    const numbers = text.split(',').map(fraction);
    const [one] = numbers;
    if (numbers.every(Number.isFinite) && numbers.length === 3) return numbers as [number, number, number];
    if (numbers.every(Number.isFinite) && numbers.length === 1) return [one!, one!, one!];
    const expected = 'three numbers such as 0.485,0.456,0.406, or one such as 0.5 or 1/255';
    throw new CLIError(`expected ${expected}, got '${text}'`, {exit: exitCodes.usage});
  },
});

/** A number that need not be whole. */
const decimal = Flags.custom<number>({
  parse: async (text) => {
    const number = Number(text);
    if (text.trim() !== '' && Number.isFinite(number)) return number;
    throw new CLIError(`expected a number, got '${text}'`, {exit: exitCodes.usage});
  },
});

export const engineFlags = {
  provider: Flags.option({
    options: ['auto', ...providerNames] as const,
    description: 'what runs the models; auto takes the fastest that is there and says which',
    default: 'cpu',
    helpValue: 'NAME',
    helpGroup: 'engine',
  })(),
  device: Flags.integer({description: 'which device, for cuda and dml', min: 0, helpValue: 'N', helpGroup: 'engine'}),
};

export const strictFlags = {
  strict: Flags.boolean({
    description: 'refuse a model that the provider cannot run alone, instead of leaving nodes to the CPU',
    helpGroup: 'engine',
  }),
  'explain-provider': Flags.boolean({description: 'show which provider ran which nodes', helpGroup: 'engine'}),
  threads: Flags.integer({
    description: 'threads for each model; default: one a core',
    min: 1,
    helpValue: 'N',
    helpGroup: 'engine',
  }),
};

const RECIPES = ['cnn', 'rvt', 'cifar'] as const satisfies readonly RecipeName[];
const COLOUR_ORDERS = ['rgb', 'bgr'] as const satisfies readonly ColourOrder[];
const FILTERS = ['bilinear', 'bicubic'] as const satisfies readonly Recipe['interpolation'][];

/** What a model may leave open that was made elsewhere. */
export const modelFlags = {
  'output-name': Flags.string({
    description: 'the value of an ONNX model that is its logits, an output or not; default: the output that looks like them',
    helpValue: 'NAME',
    helpGroup: 'network',
  }),
};

export const imageFlags = {
  labels: Flags.string({
    description: 'labels of the images: a file of ground truth or a map, or the names of all classes',
    helpValue: 'FILE',
    helpGroup: 'images',
  }),
  'label-base': Flags.option({
    options: ['0', '1'] as const,
    description: 'what the first class is in --labels, where the numbers leave it open',
    helpValue: 'N',
    helpGroup: 'images',
  })(),
  'label-column': Flags.string({
    description: 'which label, where the set has several: a column of a table, a key of JSON, coarse of CIFAR-100',
    helpValue: 'NAME',
    helpGroup: 'images',
  }),
  'strict-data': Flags.boolean({
    description: 'refuse a set with files left out, classes without images and the like, instead of warning',
    helpGroup: 'images',
  }),
  recipe: Flags.option({
    options: RECIPES,
    description: 'how images are prepared; default: as the network was trained',
    helpValue: 'NAME',
    helpGroup: 'images',
  })(),
  resize: Flags.integer({description: 'short side before the crop', min: 1, helpValue: 'N', helpGroup: 'images'}),
  interpolation: Flags.option({
    options: FILTERS,
    description: 'filter of the resize',
    helpValue: 'NAME',
    helpGroup: 'images',
  })(),
  mean: colours({description: 'subtracted from pixels between 0 and 1'}),
  std: colours({description: 'what they are divided by then; 1/255 gives the network numbers from 0 to 255'}),
  'colour-order': Flags.option({
    options: COLOUR_ORDERS,
    description: 'which colour the network takes first; --mean and --std stay red, green, blue; default: rgb',
    helpValue: 'ORDER',
    helpGroup: 'images',
  })(),
  workers: Flags.integer({
    description: 'threads that prepare images beside the main one; default: as many as decoding gains from',
    min: 0,
    helpValue: 'N',
    helpGroup: 'images',
  }),
  'on-error': Flags.option({
    options: ['stop', 'skip'] as const,
    description: 'what to do with an image that cannot be read; skipped ones are counted and listed',
    default: 'stop',
    helpValue: 'WHAT',
    helpGroup: 'images',
  })(),
  fast: Flags.boolean({
    description: 'decode JPEGs at no more than about the size that is needed: twice as fast, not exact',
    helpGroup: 'images',
  }),
};
/** Among which classes answers are judged. */
export const subsetFlags = {
  'restrict-classes': Flags.boolean({
    description: 'judge answers among the classes of the set alone, as for ImageNet-A and -R',
    helpGroup: 'images',
  }),
};
type ImageFlags = InferredFlags<typeof imageFlags>;

/** How labels and a set that looks wrong are taken. */
export const dataOptions = (flags: Pick<ImageFlags, 'label-base' | 'label-column' | 'strict-data'>) => ({
  labelBase: flags['label-base'] === undefined ? undefined : (Number(flags['label-base']) as LabelBase),
  labelColumn: flags['label-column'],
  strictData: flags['strict-data'],
});

/** Only what was given. */
export function recipeOverrides({
  resize,
  interpolation,
  mean,
  std,
  'colour-order': order,
}: Pick<ImageFlags, 'resize' | 'interpolation' | 'mean' | 'std' | 'colour-order'>): Partial<Recipe> {
  return {
    ...(resize !== undefined && {resize}),
    ...(interpolation !== undefined && {interpolation}),
    ...(mean !== undefined && {mean}),
    ...(std !== undefined && {std}),
    ...(order !== undefined && {order}),
  };
}

export const evalFlags = {
  data: Flags.string({
    char: 'd',
    description: 'folder, archive, shards or parquet of images: docs/evaluation.md lists all layouts',
    required: true,
    helpValue: 'PATH',
  }),
  report: Flags.string({description: 'also write the result as one HTML file', helpValue: 'FILE'}),
  samples: Flags.integer({description: 'only so many images, evenly spread over the set', min: 1, helpValue: 'N'}),
  'batch-size': Flags.integer({
    char: 'b',
    description: 'images in a batch; default: 32, of large ones 16, on other devices than the CPU 128',
    min: 1,
    helpValue: 'N',
  }),
  resume: Flags.boolean({description: 'go on where an interrupted run of the same command ended'}),
  state: Flags.string({description: 'where an interrupted run is saved; default: gpd-eval-….state.json', helpValue: 'FILE'}),
};

export const verifyFlags = {
  data: Flags.string({char: 'd', description: 'real images, as for eval', helpValue: 'PATH'}),
  samples: Flags.integer({description: 'random images, and as many real ones', min: 1, default: 64, helpValue: 'N'}),
  tolerance: decimal({description: 'largest |Δ| over the largest output of an image; default: 1e-4', helpValue: 'T'}),
  layers: Flags.boolean({description: 'compare layer by layer even if the outputs agree'}),
  role: Flags.option({
    options: ['student', 'teacher'] as const,
    description: 'which network of a checkpoint; default: what the other file is',
    helpValue: 'NAME',
  })(),
  seed: Flags.integer({description: 'seed of the random images', default: 0, helpValue: 'N'}),
};

export const gateFlags = {
  'min-top1': decimal({
    description: 'least top-1 accuracy in percent; below it the exit status is 1',
    helpValue: 'P',
    helpGroup: 'gates',
  }),
  'max-drop': decimal({
    description: 'most points of top-1 that a model may lose against the baseline',
    helpValue: 'P',
    helpGroup: 'gates',
  }),
  'min-agreement': decimal({
    description: 'least percentage of images with the same top class as the baseline',
    helpValue: 'P',
    helpGroup: 'gates',
  }),
};

export const numberList = (options: {description: string; helpGroup: string; min: number; default?: number[]}) =>
  Flags.integer({...list, helpValue: 'N', ...options});
