/** What a file is that holds no known network, or one that leaves in doubt what it is: said by what is there. */
import {GpdError} from '../../core/error.js';
import {plural} from '../../core/format.js';
import {formatShape, type Shape, type StateDict} from '../../core/tensor.js';
import type {Family} from '../families/family.js';
import {families} from '../families/index.js';
import {manifestOf} from '../walk.js';
import type {FoundNetwork} from './find-networks.js';
import {foreignNetworkOf} from './foreign-networks.js';

/** `'student.' (ResNet, 122 tensors), 'teacher.' (ResNet, 122 tensors)`. */
export const describeNetworks = (found: readonly FoundNetwork[]): string =>
  found
    .map(
      ({prefix, family, covered}) =>
        `${prefix === '' ? 'without a prefix' : `'${prefix}'`} (${family.title}, ${covered} tensors)`,
    )
    .join(', ');

/** More keys than these tell nothing more. */
const MAX_LOOKED_AT = 20_000;

/** `53 convolutions (first [64, 3, 7, 7]), 53 normalisations, 1 linear layer (last [1000, 2048])`. */
function whatIsThere(stateDict: StateDict): string {
  const layers = {conv: [] as Shape[], norm: 0, linear: [] as Shape[]};
  for (const [key, {shape}] of stateDict) {
    if (/(^|\.)weight(_orig|_v|_orepa_origin)?$/.test(key) && shape.length === 4) layers.conv.push(shape);
    else if (/(^|\.)weight(_orig|_v)?$/.test(key) && shape.length === 2) layers.linear.push(shape);
    else if (/(^|\.)weight$/.test(key) && shape.length === 1) layers.norm++;
  }
  const {conv, norm, linear} = layers;
  const parts = [
    conv.length > 0 && `${plural(conv.length, 'convolution')} (the first ${formatShape(conv[0]!)})`,
    norm > 0 && plural(norm, 'normalisation'),
    linear.length > 0 && `${plural(linear.length, 'linear layer')} (the last ${formatShape(linear.at(-1)!)})`,
  ].filter(Boolean);
  return parts.length > 0 ? `: ${parts.join(', ')}` : '';
}

/** The known network of which most layers' names are there, whatever stands before them. */
function nearestFamily(keys: readonly string[]): string {
  const endings = new Set<string>();
  for (const key of keys) {
    const parts = key.split('.').slice(0, -1);
    for (let i = Math.max(0, parts.length - MAX_PARTS); i < parts.length; i++) endings.add(parts.slice(i).join('.'));
  }
  const shares = families.map((family) => {
    const member = Object.values(family.published)[0];
    const names = member ? manifestOf(member.build()).modules.map(({name}) => name) : [];
    return {family, found: names.filter((name) => endings.has(name)).length, of: names.length};
  });
  const best = shares.reduce((a, b) => (b.found / b.of > a.found / a.of ? b : a));
  return best.found / best.of < NEAR
    ? ''
    : `; nearest is ${best.family.title}, ${best.found} of whose ${best.of} layers it has by name`;
}

/** The longest names of layers have fewer parts. */
const MAX_PARTS = 6;
/** A smaller share of the names says nothing. */
const NEAR = 0.25;

export function refuseUnknown(stateDict: StateDict): GpdError {
  const keys = [...stateDict.keys()].slice(0, MAX_LOOKED_AT);
  const sample = keys.slice(0, 3).join(', ');
  const size = plural(stateDict.size, 'tensor');
  const foreign = foreignNetworkOf(keys);
  const what = `${size} (${sample}${keys.length > 3 ? ', …' : ''})${whatIsThere(stateDict)}`;
  const known = `known are ${families.map(({title}) => title).join(', ')}, under their usual names in PyTorch`;
  if (foreign) {
    return new GpdError('ARCH_UNKNOWN', `most likely it is ${foreign.what}, which is not read here: ${what}`, {
      hint: foreign.advice ?? known,
      data: {network: foreign.what},
    });
  }
  return new GpdError('ARCH_UNKNOWN', `the tensors form none of the known networks: ${what}`, {
    hint: `${known}${nearestFamily(keys)}`,
  });
}

export const refuseNoClassifier = ({title}: Family, prefix: string): GpdError =>
  new GpdError(
    'ARCH_UNKNOWN',
    `it is the backbone of a ${title}${prefix && ` under '${prefix}'`} without a classifier: it gives features, and tells no classes apart`,
    {hint: 'give a checkpoint that was trained as a classifier, or train one on top of it first'},
  );

/** `encoder`, `encoder_q`, `momentum_encoder`: what contrastive trainings call a network whose last layer is a projection. */
const CONTRASTIVE = /(^|_)encoder(_|$)/;

/** Throws ARCH_AMBIGUOUS. */
export function refuseContrastive(prefix: string, own: Iterable<string>, classifier: string): void {
  const last = prefix.split('.').at(-2) ?? '';
  if (!CONTRASTIVE.test(last)) return;
  const head = [...own].some((name) => name.startsWith(`${classifier}.`)) ? `'${prefix}${classifier}'` : 'its last layer';
  throw new GpdError(
    'ARCH_AMBIGUOUS',
    `the network stands under '${prefix}', as contrastive trainings (SimCLR, SimSiam, MoCo) have it: ${head} may be a projection, and no classifier`,
    {at: prefix, hint: `if it tells classes apart: gpd convert FILE --prefix ${prefix}`},
  );
}
