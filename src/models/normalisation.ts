/**
 * A normalisation of the images that a checkpoint keeps beside its network (`normalizer.new_mean`, `0.mean`): one that does nothing is left
 * out, any other becomes the first layer. It is not folded into the first convolution: that one pads with zeros, which stand for the mean.
 */
import {GpdError} from '../core/error.js';
import type {StateDict, TensorSource} from '../core/tensor.js';
import {elementCount, float64, sourceOf, toFloat64} from '../core/tensor.js';
import type {Architecture, Network} from './layers.js';
import type {KeyUse} from './match-keys.js';
import type {NamedNetwork} from './names/name-network.js';
import {NORMALISER} from './unknown-keys.js';

const around = '((new|pixel|image|img|input|norm|data|rgb|dataset)_?)?';
const MEAN = new RegExp(`^${around}(means?|mu)(_?(tensor|buffer|rgb|pixel|image))?$`, 'i');
const DEVIATION = new RegExp(`^${around}(stds?|stdev|sigma)(_?(tensor|buffer|rgb|pixel|image))?$`, 'i');

/** Of images between 0 and 1, for each colour. */
interface Statistics {
  readonly mean: readonly number[];
  readonly std: readonly number[];
}
interface Found extends Statistics {
  /** In the file. */
  readonly keys: readonly [mean: string, std: string];
}
interface Candidate {
  readonly key: string;
  readonly name: string;
  readonly source: TensorSource;
}

/** Its module's name: none, a normaliser's, or a place in a Sequential before the network. */
function comesFirst(parent: string, prefix: string): boolean {
  const last = parent.slice(parent.lastIndexOf('.') + 1);
  if (!/^\d+$/.test(last)) return last === '' || NORMALISER.test(last);
  const place = prefix.split('.').at(-2) ?? '';
  return /^\d+$/.test(place) && Number(last) < Number(place);
}

function numbers({source}: Candidate, channels: number): number[] {
  const values = [...toFloat64(source.read()).data];
  return values.length === 1 ? new Array<number>(channels).fill(values[0]!) : values;
}

function pairsOf(candidates: readonly Candidate[], channels: number, prefix: string): Found[] {
  const byParent = new Map<string, Candidate[]>();
  for (const candidate of candidates) {
    const parent = candidate.name.slice(0, Math.max(0, candidate.name.lastIndexOf('.')));
    if (![1, channels].includes(elementCount(candidate.source.shape)) || !comesFirst(parent, prefix)) continue;
    byParent.set(parent, [...(byParent.get(parent) ?? []), candidate]);
  }
  const leaf = ({name}: Candidate) => name.slice(name.lastIndexOf('.') + 1);
  return [...byParent.values()].flatMap((group): Found[] => {
    const [means, stds] = [MEAN, DEVIATION].map((pattern) => group.filter((c) => pattern.test(leaf(c)))) as [
      Candidate[],
      Candidate[],
    ];
    const [mean, std] = [means[0], stds[0]];
    if (!mean || !std || means.length + stds.length > 2) return [];
    return [{mean: numbers(mean, channels), std: numbers(std, channels), keys: [mean.key, std.key]}];
  });
}

/** Of images between 0 and 1: other numbers are of another range, or no normalisation of images. */
const isPlausible = ({mean, std}: Statistics): boolean =>
  mean.every((v) => v >= 0 && v <= 1) && std.every((v) => v > 0 && v <= 1);

const changesNothing = ({mean, std}: Statistics): boolean => mean.every((v) => v === 0) && std.every((v) => v === 1);

/** PyTorch's own networks have no such layer. */
export const normalisesItself = (): GpdError =>
  new GpdError(
    'EXPORT_REFUSED',
    'the network normalises its images itself: weights for an unchanged network would be without that',
    {
      hint: 'write an ONNX model; or leave the normalisation out by name (--ignore MEAN --ignore STD, gpd inspect shows them), and normalise the images',
    },
  );

/** Name of the layer. */
const LAYER = 'normalize';

function normalised(arch: Architecture, {mean, std}: Statistics): Architecture {
  const network: Network = (l, image) => {
    const colours = l.channels(image);
    return arch.network(l, l.conv(image, LAYER, {out: colours, kernel: 1, groups: colours, bias: true}));
  };
  return {...arch, network, normalisation: {mean, std}};
}

const tensorsOf = ({mean, std}: Statistics): [string, TensorSource][] => [
  [
    `${LAYER}.weight`,
    sourceOf(
      float64(
        [std.length, 1, 1, 1],
        std.map((v) => 1 / v),
      ),
    ),
  ],
  [
    `${LAYER}.bias`,
    sourceOf(
      float64(
        [std.length],
        mean.map((v, i) => -v / std[i]!),
      ),
    ),
  ],
];

export interface Normalised {
  readonly arch: Architecture;
  readonly named: NamedNetwork;
  /** Of the tensors that no layer reads. */
  readonly keys: readonly KeyUse[];
}

/** What a network is with the normalisation that lies beside it; undefined where there is none, or one that is in doubt. */
export function takeNormalisation(
  arch: Architecture,
  named: NamedNetwork,
  stored: StateDict,
  {ratio, ignore}: {ratio: number; ignore: readonly string[]},
): Normalised | undefined {
  const {stateDict, foreign, fileKey, prefix} = named;
  const channels = stateDict.get(`${arch.first}.weight`)?.shape[1];
  if (channels === undefined) return undefined;
  const leafFits = (name: string) => [MEAN, DEVIATION].some((p) => p.test(name.slice(name.lastIndexOf('.') + 1)));
  const candidates = [
    ...[...stateDict].map(([name, source]) => ({key: fileKey(name), name, source})),
    ...foreign.map(({key, name = key}) => ({key, name, source: stored.get(key)!})),
  ].filter(({key, name}) => leafFits(name) && !ignore.includes(key));
  const [found, ...others] = pairsOf(candidates, channels, prefix).filter(isPlausible);
  const differ = others.some((o) => `${o.mean}/${o.std}` !== `${found!.mean}/${found!.std}`);
  if (!found || differ || (ratio > 1 && !changesNothing(found))) return undefined;
  const taken = new Set([found, ...others].flatMap(({keys}) => keys));
  const rest = {
    ...named,
    stateDict: new Map([...stateDict].filter(([name]) => !taken.has(fileKey(name)))),
    foreign: foreign.filter(({key}) => !taken.has(key)),
  };
  return changesNothing(found) ? leftAside(arch, rest, found, taken) : asFirstLayer(arch, rest, found, taken);
}

function leftAside(arch: Architecture, named: NamedNetwork, {keys}: Found, taken: ReadonlySet<string>): Normalised {
  const finding = {what: 'normalisation', value: 'none', from: `'${keys[0]}' is 0 and '${keys[1]}' is 1`};
  return {
    arch,
    named: {...named, findings: [...named.findings, finding]},
    keys: [...taken].map((key) => ({key, use: 'ignored', reason: 'normalises by 0 and 1: it changes nothing'})),
  };
}

function asFirstLayer(arch: Architecture, named: NamedNetwork, found: Found, taken: ReadonlySet<string>): Normalised {
  const {mean, std, keys} = found;
  const keyOf: Readonly<Record<string, string>> = {[`${LAYER}.weight`]: keys[1], [`${LAYER}.bias`]: keys[0]};
  const short = (values: readonly number[]) => values.map((v) => String(Number(v.toPrecision(4)))).join(' ');
  const finding = {
    what: 'normalisation',
    value: `mean ${short(mean)}, std ${short(std)}`,
    from: `'${keys[0]}' and '${keys[1]}': now the first layer, images are given between 0 and 1`,
  };
  return {
    arch: normalised(arch, found),
    named: {
      ...named,
      stateDict: new Map([...tensorsOf(found), ...named.stateDict]),
      fileKey: (name) => keyOf[name] ?? named.fileKey(name),
      findings: [...named.findings, finding],
    },
    keys: [...taken]
      .filter((key) => !keys.includes(key))
      .map((key) => ({key, use: 'ignored', reason: 'the same normalisation once more'})),
  };
}
