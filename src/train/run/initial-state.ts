/**
 * What a run starts from: the student (fresh or pretrained), its convolutions as OREPA branches, widened by inverse
 * reparameterisation into the dynamic teacher, and the connectors of its losses beside it. Names, shapes and order are the original's.
 */
import {GpdError} from '../../core/error.js';
import {random} from '../../core/random.js';
import {float32, formatShape, int64, sameShape, type Tensor, toFloat32} from '../../core/tensor.js';
import {familyOf} from '../../models/families/index.js';
import type {Architecture} from '../../models/layers.js';
import {manifestOf} from '../../models/walk.js';
import {SEPARABLE_EXPANSION} from '../../reparam/algebra.js';
import {expandModule} from '../../reparam/expand.js';
import {type ConvModule, isOrepaCandidate, type Module} from '../../reparam/modules.js';
import type {GpdForm} from '../../reparam/parameters.js';
import {keyOf, storedTensors} from '../../reparam/stored-tensors.js';
import {asReference, type Compat} from '../step/compat.js';
import type {Connectors, ConnectorTensor} from '../step/losses/static-loss.js';
import type {NamedTensors} from '../step/parameters/named-tensors.js';
import {drawn, freshWeights, kaimingUniform, repeated} from './initial-weights.js';

export interface InitialOptions {
  readonly arch: Architecture;
  readonly imageSize: number;
  readonly ratio: number;
  readonly orepa: boolean;
  readonly seed: number;
  readonly compat: Compat;
  /** A plain student; without it weights are drawn. */
  readonly pretrained?: NamedTensors | undefined;
  /** Of the losses of a static teacher. */
  readonly connectors?: readonly Connectors[] | undefined;
}

export interface Initial {
  readonly form: GpdForm;
  readonly state: NamedTensors;
}

type Floats = Map<string, Tensor<'float32'>>;

/** The original's RVT program leaves wide convolutions alone: see `compatRules.narrowOrepa`. */
const MAX_RVT_OUTPUTS = 700;

function orepaModules({arch, orepa, compat}: InitialOptions, modules: readonly Module[]): ConvModule[] {
  if (!orepa) return [];
  const isNarrow = (m: ConvModule) =>
    familyOf(arch).training !== 'rvt' || !asReference(compat, 'narrowOrepa') || m.out < MAX_RVT_OUTPUTS;
  return modules.filter((m): m is ConvModule => m.kind === 'conv' && isOrepaCandidate(m) && isNarrow(m));
}

export function initialState(options: InitialOptions): Initial {
  const {arch, imageSize, ratio, seed, pretrained, connectors = []} = options;
  const {modules} = manifestOf(arch, imageSize);
  const plain = freshWeights(arch, modules, seed);
  if (pretrained) replaceAll(plain, pretrained, arch.last);
  const orepa = orepaModules(options, modules);
  for (const m of orepa) for (const [key, t] of branches(m, plain, seed, pretrained !== undefined)) plain.set(key, t);
  const form = {ratio, orepa: new Set(orepa.map(({name}) => name))};
  const network = modules.flatMap((m) => stored(m, form, plain, seed));
  const inner = connectors.length > 0 ? network.map(([key, t]) => [`student.${key}`, t] as const) : network;
  const keys = new Set(network.map(([key]) => key));
  return {
    form: {...form, present: (key) => keys.has(key), unfilledStatistics: new Set()},
    state: new Map([...inner, ...connectors.flatMap((c) => connectorEntries(c, ratio, seed))]),
  };
}

/** Counters of batches may be missing in old files; a classifier that is left out whole stays as it was drawn. */
function replaceAll(target: Map<string, Tensor>, source: NamedTensors, classifier: string): void {
  const isOfHead = (key: string) => key.startsWith(`${classifier}.`);
  const hasHead = [...source.keys()].some(isOfHead);
  for (const [key, {shape, dtype}] of target) {
    const given = source.get(key);
    if (!given && (key.endsWith('.num_batches_tracked') || (!hasHead && isOfHead(key)))) continue;
    const problem = !given ? 'is missing' : sameShape(given.shape, shape) ? undefined : `is ${formatShape(given.shape)}`;
    if (problem !== undefined) {
      throw new GpdError(
        'SHAPE_MISMATCH',
        `'${key}' of the pretrained student ${problem}, it should be ${formatShape(shape)}`,
        {
          at: key,
          hint: 'the file must be of the same network with as many classes as the training images have',
        },
      );
    }
    target.set(key, dtype === 'int64' ? given! : toFloat32(given!));
  }
}

/** Of six branches, in the order of `vector`: the plain kernel, average, frequency prior, 1x1 then kxk, a second kernel, separable. */
const FRESH_SCALES = [0.25, 0.25, 0, 0.5, 0.05, 0.5];
/** The function stays that of the plain kernel. */
const PRETRAINED_SCALES = [1, 0, 0, 0, 0, 0];

/** A convolution as branches. Its own kernel and bias are those of the first. */
function branches(m: ConvModule, plain: ReadonlyMap<string, Tensor>, seed: number, isPretrained: boolean): Floats {
  const perGroup = m.in / m.groups;
  const area = m.kernel[0] * m.kernel[1];
  const fan: Readonly<Record<string, number>> = {
    weight_orepa_avg_conv: perGroup,
    weight_orepa_pfir_conv: perGroup,
    weight_orepa_1x1: perGroup * area,
    weight_orepa_1x1_kxk_conv2: perGroup * area,
    weight_orepa_gconv_dw: area,
    weight_orepa_gconv_pw: (SEPARABLE_EXPANSION * m.in) / m.groups,
  };
  const scales = isPretrained ? PRETRAINED_SCALES : FRESH_SCALES;
  const made: Readonly<Record<string, (shape: readonly number[]) => Tensor<'float32'>>> = {
    weight_orepa_origin: () => plain.get(`${m.name}.weight`) as Tensor<'float32'>,
    bias_orepa_origin: (shape) => (plain.get(`${m.name}.bias`) as Tensor<'float32'> | undefined) ?? repeated(shape, 0),
    weight_orepa_1x1_kxk_idconv1: (shape) => repeated(shape, 0),
    vector: (shape) =>
      float32(
        shape,
        scales.flatMap((scale) => new Array<number>(m.out).fill(scale)),
      ),
    weight_orepa_avg_avg: (shape) => repeated(shape, 1 / area),
    id_tensor: (shape) =>
      float32(
        shape,
        Float32Array.from({length: m.in * perGroup}, (_, i) => identityAt(i, perGroup)),
      ),
    weight_orepa_prior: (shape) => float32(shape, prior(m.out)),
  };
  return new Map(
    storedTensors(m, {ratio: 1, orepa: true}).map((row) => {
      const key = keyOf(m, row);
      const random = (shape: readonly number[]) => drawn(shape, `weights ${seed}/${key}`, kaimingUniform(fan[row.leaf]!));
      return [key, (made[row.leaf] ?? random)(row.shape)];
    }),
  );
}

const identityAt = (i: number, perGroup: number): number => (Math.floor(i / perGroup) % perGroup === i % perGroup ? 1 : 0);

/** Cosines over the rows for the first half of the channels, over the columns for the others. */
function prior(channels: number): Float32Array {
  const half = channels / 2;
  return Float32Array.from({length: channels * 9}, (_, at) => {
    const [i, h, w] = [Math.floor(at / 9), Math.floor(at / 3) % 3, at % 3];
    return i < half ? Math.cos((Math.PI * (h + 0.5) * (i + 1)) / 3) : Math.cos((Math.PI * (w + 0.5) * (i + 1 - half)) / 3);
  });
}

/** Copies of a tile must part: the original's deviation. */
const SYMMETRY_BREAKING = 1e-6;

type Entry = readonly [key: string, tensor: Tensor];

/** The tensors of a layer as they are stored: widened, with noise on what was copied, in PyTorch's order. */
function stored(
  m: Module,
  {ratio, orepa}: {ratio: number; orepa: ReadonlySet<string>},
  plain: ReadonlyMap<string, Tensor>,
  seed: number,
): Entry[] {
  const form = {ratio, orepa: orepa.has(m.name)};
  const rows = storedTensors(m, form);
  const own = (key: string) => plain.get(key) as Tensor<'float32'> | undefined;
  const expanded = expandModule(m, form, (key) => (key.endsWith('.num_batches_tracked') ? undefined : own(key)));
  return rows.flatMap((row): Entry[] => {
    const key = keyOf(m, row);
    if (row.leaf === 'num_batches_tracked') return [[key, ratio > 1 ? int64([], [0]) : (plain.get(key) ?? int64([], [0]))]];
    const tensor = expanded.get(key);
    if (!tensor) return [];
    const isCopied = ratio > 1 && row.wide.some(Boolean) && !/running_/.test(row.leaf);
    return [[key, isCopied ? withNoise(tensor, `noise ${seed}/${key}`) : tensor]];
  });
}

function withNoise({shape, data}: Tensor<'float32'>, seed: string): Tensor<'float32'> {
  const r = random(seed);
  return float32(
    shape,
    data.map((v) => v + SYMMETRY_BREAKING * r.normal()),
  );
}

/** `abfs.*` for the student, `abfs_dual.*` for the dynamic teacher. */
function connectorEntries({name, tensors}: Connectors, ratio: number, seed: number): Entry[] {
  const all = [...tensors(name, 1), ...(ratio > 1 ? tensors(`${name}_dual`, ratio) : [])];
  return all.map((tensor): Entry => [tensor.key, connectorTensor(tensor, seed)]);
}

function connectorTensor({key, shape, initial}: ConnectorTensor, seed: number): Tensor {
  if (initial === 'counter') return int64([], [0]);
  if ('constant' in initial) return repeated(shape, initial.constant);
  return drawn(shape, `weights ${seed}/${key}`, kaimingUniform(initial.fan, initial.gain));
}
