/** What network is this? Answered from names, shapes and training options; a doubt that they leave is an error that names the flag. */
import {GpdError} from '../core/error.js';
import {nearest} from '../core/nearest.js';
import type {StateDict, Tensor} from '../core/tensor.js';
import {toFloat64} from '../core/tensor.js';
import {type ConvModule, isOrepaCandidate, type Module} from '../reparam/modules.js';
import type {GpdForm} from '../reparam/parameters.js';
import {affineConstants, withoutFusedNorms} from './batch-norms.js';
import {checkVariances} from './check-variances.js';
import {computeTensors} from './computed-tensors.js';
import {refuseCutChannels} from './cut-channels.js';
import type {Family, StemChoice} from './families/family.js';
import {archNames, familyByShapes, isArchName} from './families/index.js';
import {forItsChannels} from './image-channels.js';
import type {Architecture} from './layers.js';
import {type KeyUse, matchKeys} from './match-keys.js';
import {type NamedNetwork, nameNetwork} from './names/name-network.js';
import {takeNormalisation} from './normalisation.js';
import {sizeReader} from './size-reader.js';
import type {Foreign} from './unknown-keys.js';
import {type LayerRecord, manifestOf} from './walk.js';

/** What the tensors may leave open. */
export interface RecogniseOptions {
  /** What stands before the names of the network that is meant, where the file holds several: `student.`. Default: it is found. */
  prefix?: string | undefined;
  ratio?: number | undefined;
  arch?: string | undefined;
  /** Attention heads of each stage, for RVTs of unpublished width. */
  heads?: readonly number[] | undefined;
  /** Of ResNets: stride of the first convolution, and whether a max pool follows, where it is not what is usual. */
  stem?: StemChoice | undefined;
  imageSize?: number | undefined;
  /** Tensors beside the network to leave out, by name; `*` stands for any characters. Every result says what was left out. */
  ignore?: readonly string[] | undefined;
}

/** One thing that was concluded, and from what. */
export interface Evidence {
  what: string;
  value: string;
  from: string;
}

/** The network that the tensors of a checkpoint form, and the evidence for it. */
export interface Recognised {
  arch: Architecture;
  /** gpd: widened; branches: OREPA without widening; deployed: plain names, but convolutions with biases; plain: neither. */
  kind: 'gpd' | 'branches' | 'deployed' | 'plain';
  form: GpdForm;
  imageSize: number;
  /** What stands before the network's names in the file, without what says how it was run: '' or `model.`. */
  prefix: string;
  /** The network's own tensors, under its family's names. */
  stateDict: StateDict;
  /** What the file calls a tensor of `stateDict`. */
  fileKey: (name: string) => string;
  modules: readonly Module[];
  /** The layers with their multiply-accumulates. */
  records: readonly LayerRecord[];
  reviewKd: boolean;
  evidence: Evidence[];
  keys: KeyUse[];
}

/** Why a tensor beside `student.*` is not needed: ReviewKD's modules, and those of our other losses. */
function trainingModule({name = ''}: Foreign): string | undefined {
  if (/^abfs(_dual)?\./.test(name)) return 'ReviewKD feature fusion, used in training alone';
  return /^connector_\w+\./.test(name) ? 'module of a distillation loss, used in training alone' : undefined;
}

/** Losses with modules of their own wrap the network: `student.*` beside what serves training alone. */
function trainingModules({prefix, foreign}: NamedNetwork): {keys: KeyUse[]; foreign: Foreign[]} {
  const reasonOf = (f: Foreign) => (prefix === 'student.' ? trainingModule(f) : undefined);
  return {
    keys: foreign.flatMap((f) => {
      const reason = reasonOf(f);
      return reason === undefined ? [] : [{key: f.key, use: 'ignored', reason} as const];
    }),
    foreign: foreign.filter((f) => reasonOf(f) === undefined),
  };
}

function recogniseRatio(
  stateDict: StateDict,
  family: Family,
  asked: number | undefined,
  args: number | undefined,
): Evidence & {ratio: number} {
  const widened = [...stateDict.keys()].some((key) => key.endsWith('.tiny_running_mean'));
  const result = (ratio: number, from: string) => {
    if (widened && !(Number.isInteger(ratio) && ratio >= 2)) {
      throw new GpdError(
        'ARCH_AMBIGUOUS',
        `the ratio ${ratio} (${from}) cannot be: a teacher is a whole number of times as wide`,
        {
          hint: 'name the ratio it was trained with, 2 or more: --ratio N',
        },
      );
    }
    return {ratio, what: 'ratio', value: String(ratio), from};
  };
  if (!widened) {
    if (asked !== undefined && asked !== 1) {
      throw new GpdError(
        'ARCH_AMBIGUOUS',
        `--ratio ${asked} was given, but the network was not widened: it has no tiny_running_* statistics`,
        {
          hint: 'leave --ratio out',
        },
      );
    }
    return result(1, 'no tiny_running_* statistics');
  }
  if (asked !== undefined) {
    if (args !== undefined && args !== asked) {
      throw new GpdError(
        'ARCH_AMBIGUOUS',
        `--ratio ${asked} was given, but the checkpoint was trained with gpd_ratio ${args}`,
        {
          hint: 'leave --ratio out',
        },
      );
    }
    return result(asked, '--ratio');
  }
  if (args !== undefined) return result(args, 'args.gpd_ratio');
  const {module, width} = family.stem;
  const stored = (stateDict.get(`${module}.weight`) ?? stateDict.get(`${module}.weight_orepa_origin`))?.shape[0] ?? 0;
  if (stored % width === 0 && stored / width >= 2)
    return result(stored / width, `${module} has ${stored} channels, published are ${width}`);
  throw new GpdError(
    'ARCH_AMBIGUOUS',
    `how much wider the teacher is cannot be known: ${module} has ${stored} channels, and the file holds no training options`,
    {
      hint: 'name the ratio it was trained with: --ratio N',
    },
  );
}

const isOrepa = (stateDict: StateDict, m: Module): m is ConvModule =>
  m.kind === 'conv' && stateDict.has(`${m.name}.weight_orepa_origin`);

/** Σ over the whole vector is exactly zero: see `GpdForm.unfilledStatistics`. */
const sumsToZero = (t: Tensor): boolean => toFloat64(t).data.reduce((a, b) => a + b, 0) === 0;

function gpdForm(stateDict: StateDict, modules: readonly Module[], ratio: number): GpdForm {
  const unfilled = modules.filter((m) => {
    const mean = m.kind === 'batchNorm' && ratio > 1 ? stateDict.get(`${m.name}.tiny_running_mean`) : undefined;
    return mean !== undefined && sumsToZero(mean.read());
  });
  return {
    ratio,
    orepa: new Set(modules.filter((m) => isOrepa(stateDict, m)).map((m) => m.name)),
    present: (key) => stateDict.has(key),
    unfilledStatistics: new Set(unfilled.map((m) => m.name)),
  };
}

function checkArchName(found: Architecture, asked: string | undefined): void {
  if (asked === undefined || asked === found.name || asked === found.family) return;
  const near = isArchName(asked) ? undefined : nearest(asked, archNames);
  throw new GpdError('ARCH_AMBIGUOUS', `--arch ${asked} was given, but the tensors form ${found.name}`, {
    hint: near ? `did you mean ${near}?` : 'leave --arch out: it is recognised from the tensors',
  });
}

function checkOrepaPlaces(form: GpdForm, modules: readonly Module[]): void {
  for (const m of modules) {
    if (m.kind === 'conv' && form.orepa.has(m.name) && !isOrepaCandidate(m)) {
      throw new GpdError(
        'SHAPE_MISMATCH',
        `'${m.name}' is stored as OREPA branches, but is not a 3x3 convolution of stride 1`,
        {at: m.name, hint: 'the original makes no such network: the file was edited, or is of another one'},
      );
    }
  }
}

function kindOf(form: GpdForm, modules: readonly Module[]): Recognised['kind'] {
  if (form.ratio > 1) return 'gpd';
  if (form.orepa.size > 0) return 'branches';
  const biased = modules.some((m) => m.kind === 'conv' && !m.bias && form.present(`${m.name}.bias`));
  return biased ? 'deployed' : 'plain';
}

/** The keys that were left out by name: what is proven and measured is the network without them. */
export const leftOut = ({keys}: Pick<Recognised, 'keys'>): string[] =>
  keys.flatMap(({key, leftOutBy}) => (leftOutBy === undefined ? [] : [key]));

/** The network by its names and sizes, before every tensor is held against it. */
function readNetwork(stored: StateDict, args: ReadonlyMap<string, unknown> | undefined, options: RecogniseOptions) {
  const found = nameNetwork(stored, options.prefix);
  const named = {...found, family: familyByShapes(found.family, found.stateDict)};
  const gpdRatio = args?.get('gpd_ratio');
  const fromArgs = typeof gpdRatio === 'number' ? gpdRatio : undefined;
  const ratio = recogniseRatio(named.stateDict, named.family, options.ratio, fromArgs);
  refuseCutChannels(named.stateDict);
  const whole = named.family.read(sizeReader(named.stateDict, ratio.ratio), options);
  checkArchName(whole, options.arch);
  const fitting = forItsChannels(whole, named.stateDict);
  const arch = ratio.ratio > 1 ? fitting : withoutFusedNorms(fitting, named.stateDict);
  const choice = {ratio: ratio.ratio, ignore: options.ignore ?? []};
  return {ratio, ...(takeNormalisation(arch, named, stored, choice) ?? {arch, named, keys: []})};
}

function imageSizeOf(arch: Architecture, asked: number | undefined): number {
  const imageSize = asked ?? arch.imageSize;
  const isSize = Number.isInteger(imageSize) && imageSize > 0;
  const refusal = isSize ? arch.refuses(imageSize) : `images have a whole number of pixels a side, not ${imageSize}`;
  if (refusal) throw new GpdError('SHAPE_MISMATCH', refusal, {hint: 'choose another --image-size'});
  return imageSize;
}

/** Throws ARCH_UNKNOWN, ARCH_AMBIGUOUS, KEY_MISSING, KEY_UNKNOWN, SHAPE_MISMATCH, and WEIGHTS_NOT_FINITE for a variance that cannot be. */
export function recognise(
  stored: StateDict,
  args: ReadonlyMap<string, unknown> | undefined,
  options: RecogniseOptions = {},
): Recognised {
  const {stateDict: given, computed, inStoredNames} = computeTensors(stored);
  const {named, ratio, arch, keys: idle} = readNetwork(given, args, options);
  const {prefix, fileKey} = named;
  const imageSize = imageSizeOf(arch, options.imageSize);
  const {modules, records} = manifestOf(arch, imageSize);
  const constants = affineConstants(modules, named.stateDict);
  const stateDict = constants.size > 0 ? new Map([...named.stateDict, ...constants]) : named.stateDict;
  const form = gpdForm(stateDict, modules, ratio.ratio);
  checkOrepaPlaces(form, modules);
  const {ignore = []} = options;
  const training = trainingModules(named);
  const network = {name: arch.name, modules, prefix, prefixAsked: options.prefix !== undefined};
  const matched = matchKeys(network, form, stateDict, {ignore, foreign: training.foreign, fileKey});
  const own = matched.filter(({key}) => !constants.has(key) || given.has(key));
  const keys = inStoredNames([...own, ...training.keys, ...idle]);
  checkVariances(modules, stateDict);
  const kind = kindOf(form, modules);
  const evidence: Evidence[] = [
    {what: 'architecture', value: arch.name, from: 'names and shapes of the tensors'},
    ...named.findings,
    ...(arch.conventions ?? []),
    {what: 'form', value: kind, from: ratio.from},
    ratio,
    {what: 'OREPA convolutions', value: String(form.orepa.size), from: 'weight_orepa_origin keys'},
    ...(arch.fused
      ? [{what: 'batch norms fused already', value: String(arch.fused.size), from: 'biases of convolutions'}]
      : []),
    {what: 'classes', value: String(arch.classes), from: `${arch.last}.weight`},
    {what: 'image size', value: String(imageSize), from: options.imageSize === undefined ? 'published' : '--image-size'},
    ...computed.map(({what, count}) => ({what, value: String(count), from: 'names of the tensors'})),
    ...(constants.size > 0
      ? [{what: 'batch norms without factors', value: String(constants.size / 2), from: 'statistics alone'}]
      : []),
  ];
  const reviewKd = training.keys.length > 0;
  return {arch, kind, form, imageSize, prefix, stateDict, fileKey, modules, records, reviewKd, evidence, keys};
}
