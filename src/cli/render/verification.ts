/** What a person reads after a comparison of two models: the table of differences, and the first layer that differs. */

import {count, plural, tiny} from '../../core/format.js';
import {printable} from '../../core/printable.js';
import {type Divergence, isNotFinite, type LayerComparison} from '../../eval/divergence.js';
import type {MatchMethod} from '../../eval/layers/match-layers.js';
import type {TensorStatistics} from '../../eval/tensor-statistics.js';
import type {VerificationResult} from '../../workflows/verify.js';
import type {Style} from '../terminal/style.js';
import {tableLines} from '../terminal/table.js';
import {wrapText} from '../terminal/wrap.js';
import {renderLeftOut} from './left-out.js';
import {renderModelWarnings, renderWarnings} from './warnings.js';

const right = {align: 'right'} as const;
const MAX_LAYERS = 12;
const WIDTH = 100;

export function renderVerification(v: VerificationResult, style: Style): string[] {
  return [
    `${style.bold(printable(v.actual.name))} against ${style.bold(printable(v.reference.name))}, run by ${v.provider.used} (${v.provider.reason})`,
    ...renderModelWarnings([v.reference, v.actual], style),
    ...renderWarnings(v.warnings, style),
    '',
    ...renderOutputs(v, style),
    ...v.uncompared.map(({output, why}) => style.warn(`not compared: '${printable(output)}', ${why}`)),
    ...v.proveNothing
      .filter(({output}) => v.ok || output !== v.outputs[0]?.output)
      .map(({output, why}) => style.warn(`'${printable(output)}' proves nothing: ${why}`)),
    ...renderNonFinite(v, style),
    ...(v.complete ? [] : [style.warn('interrupted: the verdict is about the images that were compared')]),
    '',
    ...(v.divergence ? renderDivergence(v.divergence, v, style) : []),
    verdict(v, style),
    ...renderLeftOut([v.reference, v.actual], style),
  ];
}

function renderOutputs({outputs, tolerance}: VerificationResult, style: Style): string[] {
  const head = ['output', 'inputs', 'images', 'median |Δ|', '99 %', '99.9 %', 'most', 'relative', 'same top', 'beyond'];
  const rows = outputs.map((o) => [
    printable(o.output),
    o.kind,
    count(o.images),
    ...[o.p50, o.p99, o.p999, o.maxAbs, o.relative].map(tiny),
    o.width > 1 ? `${count(o.sameTop1)}/${count(o.images)}` : '–',
    count(o.exceeding),
  ]);
  const [first, ...rest] = tableLines([head, ...rows], [{maxWidth: 30}, {}, ...head.slice(2).map(() => right)]);
  return [
    style.dim(first!),
    ...rest,
    style.dim(`  allowed: ${tiny(tolerance)} of the largest output of the image, or of the median image`),
  ];
}

/** Once for each output, whatever the kinds of inputs. */
function renderNonFinite({outputs}: VerificationResult, style: Style): string[] {
  const names = [...new Set(outputs.map(({output}) => output))];
  return names.flatMap((name) => {
    const images = outputs.filter(({output}) => output === name).reduce((n, {nonFinite}) => n + nonFinite, 0);
    return images > 0 ? [style.warn(`'${printable(name)}' is NaN or infinite on ${plural(images, 'image')}`)] : [];
  });
}

const numbers = ({min, max, mean, deviation, nonFinite}: TensorStatistics): string =>
  `${short(min)} to ${short(max)}, mean ${short(mean)}, deviation ${short(deviation)}${nonFinite > 0 ? `, ${plural(nonFinite, 'number')} not finite` : ''}`;
const short = (x: number): string => (Number.isFinite(x) ? String(Number(x.toPrecision(4))) : String(x));

/** Every layer agrees when its value is asked for, and the outputs do not when they alone are. */
const ONLY_FUSED = 'The difference comes from what the runtime makes of the whole graph: try another provider';

function renderDivergence(d: Divergence, v: VerificationResult, style: Style): string[] {
  const {ok} = v;
  const tails = ok ? [] : renderTails(d, v).map((line) => style.warn(line));
  if (d.compared === 0)
    return [style.warn('no inner value of one model was found in the other: only their outputs can be compared'), ...tails];
  const place = `${plural(d.compared, 'layer')} of both compared on ${plural(d.images, 'image')}, matched by ${methods(d)}${unmatched(d)}`;
  const lines = wrapText(place, WIDTH);
  if (!d.first && tails.length > 0) return [...lines, 'all agree', ...tails];
  if (!d.first) return [...lines, `all agree${ok ? '' : `. ${ONLY_FUSED}`}`];
  return [...lines, ...renderLayers(d), ...renderFirst(d, d.first, style), ...tails, ''];
}

const methodNames: Readonly<Record<MatchMethod, string>> = {
  name: 'name',
  module: 'module path',
  values: 'their numbers',
  inputs: 'their inputs',
  weights: 'weights',
  correlation: 'correlation',
};
const methods = ({matched}: Divergence): string =>
  (Object.keys(methodNames) as MatchMethod[])
    .filter((method) => matched[method] !== undefined)
    .map((method) => `${methodNames[method]} (${count(matched[method]!)})`)
    .join(', ');

function unmatched({unmatched: {reference, actual}}: Divergence): string {
  const rest = reference.length + actual.length;
  return rest === 0 ? '' : `; ${count(actual.length)} and, of the reference, ${count(reference.length)} without a counterpart`;
}

function renderLayers({layers, first}: Divergence): string[] {
  const at = layers.indexOf(first!);
  const rows = layers
    .slice(Math.max(0, at - 2), at + MAX_LAYERS - 2)
    .map((l) => [
      l === first ? '→' : '',
      layerName(l),
      printable(l.operator),
      l.shape,
      methodNames[l.matched],
      tiny(l.maxAbs),
      tiny(l.relative),
    ]);
  const head = ['', 'layer', 'operator', 'shape', 'matched by', 'most', 'relative'];
  return tableLines([head, ...rows], [{}, {maxWidth: 44}, {}, {}, {}, right, right]);
}

/** The module, where a name tells it: `layer3.0.conv2` says more than `onnx::Add_123`. */
const layerName = ({module, name}: LayerComparison): string => printable(module ?? name);

function renderFirst(d: Divergence, first: LayerComparison, style: Style): string[] {
  const what = isNotFinite(first) ? 'first that is not finite or differs' : 'first to differ';
  const values = [first.name, first.referenceName].map((name) => `'${printable(name)}'`);
  const named = new Set(values).size > 1 ? ` (${values[0]}, in the reference ${values[1]})` : '';
  const before = d.lastEqual ? `; everything before it agrees to ${tiny(d.agreesTo!)}` : '';
  const shapes =
    first.shape === first.referenceShape ? '' : `; its shape is ${first.shape}, in the reference ${first.referenceShape}`;
  const grows = d.gradual ? '. The difference grows from layer to layer: no single one stands out' : '';
  const likes = d.diagnosis.flatMap(({text}) => wrapText(`looks like: ${printable(text)}`, WIDTH));
  return [
    ...wrapText(
      `${what}: ${style.bold(layerName(first))}${named}, matched by ${methodNames[first.matched]}${shapes}${before}${grows}`,
      WIDTH,
    ),
    ...likes.map((line) => style.warn(line)),
    ...renderTensors(first),
  ];
}

/** One side mostly has nothing: a softmax or a cast was added at the end of the other. */
function renderTails({tails, compared, first}: Divergence, {reference, actual}: VerificationResult): string[] {
  if (!tails) return [];
  const where = compared === 0 ? ' at its end' : first ? ' after the layers that agree' : ' after them';
  const sides = [
    [actual.name, tails.actual],
    [reference.name, tails.reference],
  ] as const;
  const lines = sides.flatMap(([name, nodes]) =>
    nodes.length === 0 ? [] : [`${printable(name)} computes ${nodes.map(printable).join(', ')}${where}`],
  );
  return wrapText(`${lines.join('; ')}${lines.length === 1 ? ', the other does not: that is the difference' : ''}`, WIDTH);
}
const renderTensors = ({reference, actual}: LayerComparison): string[] => [
  `  reference  ${numbers(reference)}`,
  `  actual     ${numbers(actual)}`,
];

/** `equal` is said of the outputs that were compared. */
function verdict({verdict, worst, outputs, proveNothing, uncompared}: VerificationResult, style: Style): string {
  const compared = [...new Set(outputs.map(({output}) => output))];
  const images = plural(
    outputs.filter(({output}) => output === compared[0]).reduce((n, o) => n + o.images, 0),
    'image',
  );
  switch (verdict) {
    case 'same':
      return uncompared.length === 0
        ? `${style.good('equal')}  the same function on ${images}, within the tolerance`
        : `${style.good('equal')}  in what was compared, '${compared.map(printable).join("', '")}', on ${images}, within the tolerance`;
    case 'different':
      if (outputs.every(({exceeding, nonFinite}) => exceeding === nonFinite))
        return `${style.bad('NOT EQUAL')}  outputs that are NaN or infinite agree on nothing${worst ? `: first on '${printable(worst.image)}' (${worst.kind})` : ''}`;
      return `${style.bad('DIFFERENT')}  the models do not compute the same function${worst ? `: ${renderWorst(worst)}` : ''}`;
    default:
      return `${style.bad('PROVES NOTHING')}  ${proveNothing[0]!.why}`;
  }
}

const renderWorst = ({image, kind, relative}: NonNullable<VerificationResult['worst']>): string =>
  `worst on '${printable(image)}' (${kind}), ${Number.isFinite(relative) ? `${tiny(relative)} of the largest output` : 'where an output is not finite'}`;
