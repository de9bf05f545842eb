/**
 * Tensors that a checkpoint holds in parts, and PyTorch computes before each pass: masks of pruning, weight norm, spectral norm. Here they
 * are computed when they are read. Only the ends of keys matter: this goes before everything that asks what network it is.
 */
import {GpdError} from '../core/error.js';
import {
  elementCount,
  float64,
  formatShape,
  leadingBlock,
  type Shape,
  type StateDict,
  sameShape,
  type Tensor,
  type TensorSource,
  toFloat32,
  toFloat64,
} from '../core/tensor.js';
import type {KeyUse} from './match-keys.js';

type T = Tensor<'float64'>;

/** How one tensor is made of stored ones. */
interface Rule {
  /** What messages say of it. */
  readonly what: string;
  /** The key of the first part: the module with its dot, and the leaf that is computed. */
  readonly first: RegExp;
  /** The other parts, after the module, for a leaf. */
  readonly others: (leaf: string) => readonly string[];
  /** The shape of what is made. */
  readonly shape: (first: Shape, others: readonly Shape[]) => Shape;
  /** Whether parts of these shapes belong together. */
  readonly fits: (first: Shape, others: readonly Shape[]) => boolean;
  readonly compute: (first: T, others: readonly T[]) => T;
}

const LEAF = '(weight|bias)';
const ofModule = (leaf: string): RegExp => new RegExp(`^(.*\\.)?${leaf}$`);

const ofFirst = (first: Shape): Shape => first;

const masking = {
  shape: ofFirst,
  fits: (first: Shape, [mask]: readonly Shape[]) => sameShape(first, mask!),
  compute: (first: T, [mask]: readonly T[]) =>
    float64(
      first.shape,
      first.data.map((v, i) => v * mask!.data[i]!),
    ),
};

/** g·v/‖v‖: one norm for each number of g, over all dimensions along which g is not divided. */
const weightNorm = {
  shape: (_: Shape, [v]: readonly Shape[]) => v!,
  fits: (g: Shape, [v]: readonly Shape[]) =>
    g.length === 0 || (g.length === v!.length && g.every((n, d) => n === 1 || n === v![d])),
  compute(g: T, [v]: readonly T[]) {
    const places = placesIn(g.shape, v!.shape);
    const squares = new Float64Array(g.data.length);
    for (const [at, value] of v!.data.entries()) squares[places[at]!]! += value * value;
    return float64(
      v!.shape,
      v!.data.map((value, at) => (value * g.data[places[at]!]!) / Math.sqrt(squares[places[at]!]!)),
    );
  },
};

/** W/σ with σ = u·(W v) for the last estimate of its singular vectors; W as rows, one for each output. */
const spectralNorm = {
  shape: ofFirst,
  fits: (w: Shape, [u, v]: readonly Shape[]) =>
    sameShape(u!, [w[0]!]) && w.length > 1 && sameShape(v!, [elementCount(w.slice(1))]),
  compute(w: T, [u, v]: readonly T[]) {
    const columns = v!.data.length;
    const sigma = w.data.reduce(
      (sum, value, at) => sum + u!.data[Math.floor(at / columns)]! * value * v!.data[at % columns]!,
      0,
    );
    return float64(
      w.shape,
      w.data.map((value) => value / sigma),
    );
  },
};

/** For each number of a tensor, which number of one that is broadcast to it belongs to it. */
function placesIn(small: Shape, shape: Shape): Uint32Array {
  const places = new Uint32Array(elementCount(shape));
  if (small.length === 0) return places;
  const index = new Array<number>(shape.length).fill(0);
  for (let at = 0; at < places.length; at++) {
    places[at] = small.reduce((place, n, d) => place * n + (n === 1 ? 0 : index[d]!), 0);
    for (let d = shape.length - 1; d >= 0 && ++index[d]! === shape[d]; d--) index[d] = 0;
  }
  return places;
}

/** THE table of what PyTorch computes, by the names that it gives the parts. */
const rules: readonly Rule[] = [
  {
    what: 'masks of pruning, applied',
    first: ofModule(`${LEAF}_orig`),
    others: (leaf) => [`${leaf}_mask`], // torch.nn.utils.prune
    ...masking,
  },
  {
    what: 'masks of pruning, applied',
    first: ofModule(`parametrizations\\.${LEAF}\\.original`),
    others: (leaf) => [`parametrizations.${leaf}.0.mask`], // torch.ao.pruning
    ...masking,
  },
  {
    what: 'weight norm, computed',
    first: ofModule(`${LEAF}_g`),
    others: (leaf) => [`${leaf}_v`], // torch.nn.utils.weight_norm
    ...weightNorm,
  },
  {
    what: 'weight norm, computed',
    first: ofModule(`parametrizations\\.${LEAF}\\.original0`),
    others: (leaf) => [`parametrizations.${leaf}.original1`], // torch.nn.utils.parametrizations.weight_norm
    ...weightNorm,
  },
  {
    what: 'spectral norm, computed',
    first: ofModule(`${LEAF}_orig`),
    others: (leaf) => [`${leaf}_u`, `${leaf}_v`], // torch.nn.utils.spectral_norm
    ...spectralNorm,
  },
  {
    what: 'spectral norm, computed',
    first: ofModule(`parametrizations\\.${LEAF}\\.original`),
    others: (leaf) => [`parametrizations.${leaf}.0._u`, `parametrizations.${leaf}.0._v`], // torch.nn.utils.parametrizations.spectral_norm
    ...spectralNorm,
  },
];

/** A tensor that is in no file, and from what it was made. */
interface Computed {
  readonly key: string;
  readonly what: string;
  /** The stored keys. */
  readonly parts: readonly string[];
  readonly source: TensorSource;
}

/** A state dict under the names of the tensors that a network computes with. */
export interface ComputedTensors {
  readonly stateDict: StateDict;
  /** What was computed, and of how many tensors. */
  readonly computed: readonly {readonly what: string; readonly count: number}[];
  /** What became of the stored keys, from what became of the computed ones. */
  inStoredNames(keys: readonly KeyUse[]): KeyUse[];
}

const madeSource = (name: string, shape: Shape, make: () => T): TensorSource => ({
  name,
  dtype: 'float32',
  shape,
  read: (leading = shape) => leadingBlock(toFloat32(make()), leading),
});

function computedBy(rule: Rule, first: string, stateDict: StateDict): Computed | undefined {
  const [, module = '', leaf] = rule.first.exec(first) ?? [];
  if (leaf === undefined) return undefined;
  const key = module + leaf;
  const others = rule.others(leaf).map((other) => module + other);
  if (stateDict.has(key) || !others.every((other) => stateDict.has(other))) return undefined;
  const [source, ...rest] = [first, ...others].map((part) => stateDict.get(part)!) as [TensorSource, ...TensorSource[]];
  const shapes = rest.map(({shape}) => shape);
  if (!rule.fits(source.shape, shapes)) {
    const found = others.map((other, i) => `'${other}' ${formatShape(shapes[i]!)}`).join(' and ');
    throw new GpdError('SHAPE_MISMATCH', `'${first}' ${formatShape(source.shape)} does not fit ${found}`, {
      at: first,
      hint: 'these are parts of one tensor, which PyTorch computes from them: the file is damaged or was edited',
    });
  }
  const make = () =>
    rule.compute(
      toFloat64(source.read()),
      rest.map((part) => toFloat64(part.read())),
    );
  return {key, what: rule.what, parts: [first, ...others], source: madeSource(key, rule.shape(source.shape, shapes), make)};
}

/** Throws SHAPE_MISMATCH for parts that do not belong together. */
export function computeTensors(stored: StateDict): ComputedTensors {
  const made = [...stored.keys()].flatMap((key) => rules.flatMap((rule) => computedBy(rule, key, stored) ?? []));
  if (made.length === 0) return {stateDict: stored, computed: [], inStoredNames: (keys) => [...keys]};
  const byFirst = new Map(made.map((one) => [one.parts[0], one]));
  const parts = new Set(made.flatMap((one) => one.parts));
  const stateDict = new Map<string, TensorSource>();
  for (const [key, source] of stored) {
    const own = byFirst.get(key);
    if (own) stateDict.set(own.key, own.source);
    else if (!parts.has(key)) stateDict.set(key, source);
  }
  const byKey = new Map(made.map((one) => [one.key, one]));
  return {
    stateDict,
    computed: [...new Set(made.map(({what}) => what))].map((what) => ({
      what,
      count: made.filter((one) => one.what === what).length,
    })),
    inStoredNames: (keys) => keys.flatMap((use) => byKey.get(use.key)?.parts.map((key): KeyUse => ({...use, key})) ?? [use]),
  };
}
