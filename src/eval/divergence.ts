/**
 * Where two models part. The values that both compute are matched, whatever the files call them (`layers/match-layers.ts`), become outputs
 * of both, and are compared on a few images; the first that differs by more than rounding explains is the answer.
 */
import {compare} from '../core/compare.js';
import type {Tensor} from '../core/tensor.js';
import type {Value} from '../onnx/graph.js';
import type {SessionOptions} from '../onnx/session.js';
import {diagnose} from './layers/diagnose.js';
import type {Diagnosis} from './layers/evidence.js';
import {type Fingerprint, fingerprint} from './layers/fingerprint.js';
import {type LayerValue, layerValues} from './layers/layer-values.js';
import {type MatchedPair, type MatchMethod, matchLayers, type Sampled} from './layers/match-layers.js';
import {inOrderOf} from './layers/planes.js';
import {portions, type SeenValue, Watch, watchAll} from './layers/watch.js';
import type {Subject} from './subject.js';
import {type Tails, tailsAfter} from './tail.js';
import {statisticsOf, type TensorStatistics} from './tensor-statistics.js';

/** A value that both models compute. */
export interface LayerComparison {
  /** In the model under test. */
  name: string;
  /** In the reference. */
  referenceName: string;
  /** The path of its module, `layer3.0.conv2`, where a name of either model tells it. */
  module: string | undefined;
  operator: string;
  /** For one image, without dimensions of 1. */
  shape: string;
  referenceShape: string;
  /** By what the two are known to be the same layer. */
  matched: MatchMethod;
  /** Of the worst image; infinite where the shapes differ. */
  maxAbs: number;
  /** maxAbs over the largest magnitude of the reference. */
  relative: number;
  /** It differs, and everything computed from it agrees again: a factor or an offset stands elsewhere. */
  absorbed: boolean;
  reference: TensorStatistics;
  actual: TensorStatistics;
}

/** Values of one model that no value of the other was matched with. */
export interface UnmatchedLayers {
  reference: string[];
  actual: string[];
}

/** Where two models part. */
export interface Divergence {
  /** Values that both compute, in the order of the model under test. */
  compared: number;
  /** How many were matched by what. */
  matched: Partial<Record<MatchMethod, number>>;
  unmatched: UnmatchedLayers;
  /** Images on which they were compared. */
  images: number;
  /** The last that agrees before the first that does not. */
  lastEqual: LayerComparison | undefined;
  /** The largest relative difference before the first that differs. */
  agreesTo: number | undefined;
  /**
   * The first that differs; where none does, the first with a number that is not finite. Undefined if all agree: then the difference
   * comes from what the runtime makes of the whole.
   */
  first: LayerComparison | undefined;
  /** The difference grows from layer to layer: the first is only the first beyond the bound. */
  gradual: boolean;
  /** What the difference at the first looks like, as far as a test on the numbers supports it. */
  diagnosis: Diagnosis[];
  layers: LayerComparison[];
  /** What follows the layers that agree, where nothing but the output differs and other operators compute it. */
  tails: Tails | undefined;
}

/** What is compared, and on what. */
export interface DivergenceOptions {
  images: readonly Tensor<'float32'>[];
  /** Relative to the largest magnitude of each value. */
  bound: number;
  /** The outputs of the models differ: then some layer is to blame. */
  differ: boolean;
  session?: SessionOptions | undefined;
}

interface Side {
  subject: Subject;
  layers: LayerValue[];
  watch: Watch;
}

/** Compares layer by layer on a few images. */
export async function findDivergence(reference: Subject, actual: Subject, options: DivergenceOptions): Promise<Divergence> {
  const {session = {}, images, bound} = options;
  const a = await openSide(reference, session);
  try {
    const b = await openSide(actual, session);
    try {
      const pairs = matchLayers(await sampled(a, images), await sampled(b, images), bound);
      const layers = await comparePairs(pairs, a.watch, b.watch, images);
      return await describe(a, b, pairs, layers, options);
    } finally {
      await b.watch.close();
    }
  } finally {
    await a.watch.close();
  }
}

async function openSide(subject: Subject, options: SessionOptions): Promise<Side> {
  const layers = layerValues(subject.model());
  return {
    subject,
    layers,
    watch: await Watch.open(
      subject,
      layers.map(({value}) => value),
      options,
    ),
  };
}

async function sampled({layers, watch}: Side, images: readonly Tensor<'float32'>[]): Promise<Sampled[]> {
  const values = layers.map(({value}) => value);
  const prints = new Array<Fingerprint | undefined>(values.length);
  await watchAll(watch, values, images, (i, seen) => {
    prints[i] = fingerprint(seen);
  });
  return layers.map((layer, i) => ({...layer, print: prints[i]}));
}

/** Both sides of a portion at a time are in memory. */
async function comparePairs(
  pairs: readonly MatchedPair[],
  a: Watch,
  b: Watch,
  images: readonly Tensor<'float32'>[],
): Promise<LayerComparison[]> {
  const layers = pairs.map(namesOf);
  for (const places of portions(pairs.map(({actual}) => 2 * (actual.print?.size ?? 0)))) {
    const own = places.map((place) => pairs[place]!);
    for (const image of images) {
      const want = await a.see(
        image,
        own.map(({reference}) => reference.value),
      );
      const got = await b.see(
        image,
        own.map(({actual}) => actual.value),
      );
      for (const [k, place] of places.entries()) layers[place] = worse(layers[place]!, own[k]!, want[k], got[k]);
    }
  }
  return layers;
}

const NOTHING: TensorStatistics = {min: 0, max: 0, mean: 0, deviation: 0, nonFinite: 0};

function namesOf({reference, actual, method}: MatchedPair): LayerComparison {
  const shape = ({print}: Sampled) => `[${print?.dims.join(', ') ?? '?'}]`;
  return {
    ...{name: actual.value.name, referenceName: reference.value.name, operator: actual.node.opType, matched: method},
    module: moduleOf(reference) ?? moduleOf(actual),
    ...{
      shape: shape(actual),
      referenceShape: shape(reference),
      maxAbs: -1,
      relative: -1,
      absorbed: false,
      reference: NOTHING,
      actual: NOTHING,
    },
  };
}
const moduleOf = ({paths, chain, role}: Sampled): string | undefined =>
  chain !== undefined || /Norm/.test(role) ? paths[0] : undefined;

/** The comparison with another image taken into account. */
function worse(
  before: LayerComparison,
  pair: MatchedPair,
  want: SeenValue | undefined,
  got: SeenValue | undefined,
): LayerComparison {
  if (!want || !got) return before;
  const statistics = () => ({reference: statisticsOf(want.data), actual: statisticsOf(got.data)});
  if (pair.layout === undefined) return {...before, maxAbs: Infinity, relative: Infinity, ...statistics()};
  const {x, y} = inOrderOf(want, got, pair.layout);
  const {maxAbs, maxRel} = compare(y, x, {because: 'measured here, judged below'});
  return maxRel > before.relative || before.relative < 0 ? {...before, maxAbs, relative: maxRel, ...statistics()} : before;
}

async function describe(
  a: Side,
  b: Side,
  pairs: readonly MatchedPair[],
  layers: LayerComparison[],
  {images, bound, differ, session}: DivergenceOptions,
): Promise<Divergence> {
  markAbsorbed(b, pairs, layers, bound);
  const differing = firstDifferent(layers, bound, differ);
  const at = differing >= 0 ? differing : layers.findIndex(isNotFinite);
  const agreed = at < 0 ? pairs : pairs.slice(0, at);
  const before = layers.slice(0, agreed.length).filter(({absorbed}) => !absorbed);
  const agreesTo = before.length > 0 ? Math.max(...before.map(({relative}) => relative)) : undefined;
  const first = layers[at];
  const matched: Divergence['matched'] = {};
  for (const {method} of pairs) matched[method] = (matched[method] ?? 0) + 1;
  const context = {a, b, pairs, images, agreesTo: agreesTo ?? 0, session};
  return {
    ...{compared: layers.length, matched, images: images.length, unmatched: unmatchedOf(a, b, pairs)},
    ...{lastEqual: at < 0 ? undefined : before.at(-1), agreesTo, first, layers},
    gradual: first !== undefined && first.relative < GRADUAL * (agreesTo ?? 0),
    diagnosis: first && !isNotFinite(first) ? await diagnose(pairs[at]!, context) : [],
    tails: at < 0 || isOutput(a, b, pairs[at]!) ? endsAfter(a, b, agreed) : undefined,
  };
}

const isOutput = ({subject: a}: Side, {subject: b}: Side, {reference, actual}: MatchedPair): boolean =>
  reference.value.name === a.output && actual.value.name === b.output;

function endsAfter(a: Side, b: Side, agreed: readonly MatchedPair[]): Tails | undefined {
  const part = ({subject}: Side, side: 'reference' | 'actual') => ({
    ...{model: subject.model(), output: subject.output},
    shared: agreed.map((pair) => pair[side].value.name),
  });
  return tailsAfter(part(a, 'reference'), part(b, 'actual'));
}

/** What only moves numbers and inner values of chains have no counterpart by their nature. */
function unmatchedOf(a: Side, b: Side, pairs: readonly MatchedPair[]): UnmatchedLayers {
  const known = new Set(pairs.flatMap(({reference, actual}) => [reference.value, actual.value]));
  const rest = ({layers}: Side) =>
    layers.filter(({value, moves, role}) => !known.has(value) && !moves && !/ of /.test(role)).map(({value}) => value.name);
  return {reference: rest(a), actual: rest(b)};
}

/** Rounding grows by less than this from one layer to the next. */
const JUMP = 30;
/** Less is no jump but rounding in float32. */
const ROUNDING = 2e-6;
const LEAST_JUMP = 1e-5;
/** A layer beyond the bound that is no further off than so many times those before it. */
const GRADUAL = 4;

/** The first beyond the bound; or, where the outputs differ, an earlier one at which the difference suddenly grows. */
function firstDifferent(layers: readonly LayerComparison[], bound: number, differ: boolean): number {
  let most = ROUNDING;
  for (const [i, {relative, absorbed}] of layers.entries()) {
    if (absorbed) continue;
    if (!(relative <= bound) || (differ && relative >= LEAST_JUMP && relative >= JUMP * most)) return i;
    most = Math.max(most, relative);
  }
  return -1;
}

/** Marks those that differ although no output depends on them but through values that agree. */
function markAbsorbed({subject}: Side, pairs: readonly MatchedPair[], layers: LayerComparison[], bound: number): void {
  const agreeing = new Set(pairs.filter((_, i) => layers[i]!.relative <= bound).map(({actual}) => actual.value));
  const guilty = new Set<Value>();
  const waiting: (Value | undefined)[] = [...subject.model().graph.outputs];
  while (waiting.length > 0) {
    const v = waiting.pop();
    if (!v || guilty.has(v) || agreeing.has(v)) continue;
    guilty.add(v);
    if (v.producer) waiting.push(...v.producer.inputs, ...v.producer.captured);
  }
  for (const [i, {actual}] of pairs.entries())
    layers[i] = {...layers[i]!, absorbed: !(layers[i]!.relative <= bound) && !guilty.has(actual.value)};
}

/** Equal or not: a NaN in both models is nothing that they agree on. */
export const isNotFinite = ({reference, actual}: LayerComparison): boolean => reference.nonFinite + actual.nonFinite > 0;
