/** The classifier of a network whose layers stand below a prefix while its last one does not: `backbone.*` and `head.fc.*`. */
import {GpdError} from '../../core/error.js';
import {HEAD_NAME} from '../families/head.js';
import {mayBeClassifier} from '../unknown-keys.js';
import type {NamedTensor} from './transparent-parts.js';

export interface HeadBeside {
  /** Under the family's own names. */
  readonly tensors: ReadonlyMap<string, NamedTensor>;
  /** What the file calls the layer, and the family's own name. */
  readonly from: string;
  readonly to: string;
  /** The part of the names, with its dot, inside which nothing else may act. */
  readonly part: string;
}

const isLinear = ({name, source: {shape}}: NamedTensor): boolean =>
  name.endsWith('.weight') && (shape.length === 2 || (shape.length === 4 && shape[2] === 1 && shape[3] === 1));

/** `own`: it lies where the family has it, or under another name among the network's own. `none`: there is none. */
export function headBeside({
  own,
  classifier,
  rest,
}: {
  own: ReadonlyMap<string, NamedTensor>;
  classifier: string;
  rest: readonly NamedTensor[];
}): HeadBeside | 'own' | 'none' {
  const isOwn = (name: string) => name.startsWith(`${classifier}.`) || HEAD_NAME.test(name.slice(0, `${name}.`.indexOf('.')));
  const inner = [...own].filter(([name]) => isOwn(name));
  if (inner.length > 0) {
    const inHead = inner.flatMap(([name, t]) => (isLinear(t) ? [{...t, name}] : []));
    if (!own.has(`${classifier}.weight`) && inHead.length > 1) throw severalLayers(inHead);
    return 'own';
  }
  const layers = rest.filter(
    (t) => isLinear(t) && mayBeClassifier({key: t.key, name: t.name, shape: t.source.shape, where: 'beside'}),
  );
  const [layer, ...others] = layers;
  if (!layer) return 'none';
  if (others.length > 0) throw severalLayers(layers);
  const from = layer.name.slice(0, layer.name.lastIndexOf('.'));
  const tensors = new Map([[`${classifier}.weight`, layer]]);
  const bias = rest.find(({name}) => name === `${from}.bias`);
  if (bias) tensors.set(`${classifier}.bias`, bias);
  const part = from.includes('.') ? from.slice(0, from.lastIndexOf('.') + 1) : `${from}.`;
  return {tensors, from, to: classifier, part};
}

function severalLayers(layers: readonly NamedTensor[]): GpdError {
  const listed = layers
    .slice(0, 4)
    .map(({key, source}) => `'${key}' [${source.shape.join(', ')}]`)
    .join(', ');
  return new GpdError('ARCH_UNKNOWN', `${layers.length} layers follow the network, and a classifier is one: ${listed}`, {
    at: layers[0]!.key,
    hint: "a head of several layers (a projection, or fastai's own) is not read here: only networks with one linear layer at the end",
    data: {layers: layers.map(({key}) => key)},
  });
}
