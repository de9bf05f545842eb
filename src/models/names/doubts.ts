/** What a file is that holds no known network, or one that leaves in doubt what it is: said by what is there. */
import {GpdError} from '../../core/error.js';
import type {StateDict} from '../../core/tensor.js';
import type {Family} from '../families/family.js';
import {families} from '../families/index.js';
import type {FoundNetwork} from './find-networks.js';

/** `'student.' (ResNet, 122 tensors), 'teacher.' (ResNet, 122 tensors)`. */
export const describeNetworks = (found: readonly FoundNetwork[]): string =>
  found
    .map(
      ({prefix, family, covered}) =>
        `${prefix === '' ? 'without a prefix' : `'${prefix}'`} (${family.title}, ${covered} tensors)`,
    )
    .join(', ');

export function refuseUnknown(stateDict: StateDict): GpdError {
  const sample = [...stateDict.keys()].slice(0, 3).join(', ');
  return new GpdError('ARCH_UNKNOWN', `the ${stateDict.size} tensors (${sample}, …) form none of the known networks`, {
    hint: `known are ${families.map(({title}) => title).join(', ')}, under the names that PyTorch gives their layers`,
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
    {at: prefix, hint: `if it tells classes apart: --prefix ${prefix}`},
  );
}
