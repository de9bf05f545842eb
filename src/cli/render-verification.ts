/** What a person reads after a comparison of two models: the table of differences, and the first layer that differs. */
import type {Divergence, LayerComparison} from '../eval/divergence.js';
import type {TensorStatistics} from '../eval/tensor-statistics.js';
import {count, plural, printable, tiny} from './format.js';
import type {Style} from './style.js';
import {table} from './table.js';
import type {VerificationResult} from './verify-files.js';

const right = {align: 'right'} as const;
const MAX_LAYERS = 12;

export function renderVerification(v: VerificationResult, style: Style): string[] {
  return [
    `${style.bold(printable(v.actual.name))} against ${style.bold(printable(v.reference.name))}, run by ${v.provider.used} (${v.provider.reason})`,
    '',
    ...renderOutputs(v, style),
    ...(v.unmatched.length > 0 ? [style.warn(`outputs of one model alone: ${v.unmatched.map(printable).join(', ')}`)] : []),
    '',
    ...(v.divergence ? renderDivergence(v.divergence, v.ok, style) : []),
    verdict(v, style),
  ];
}

function renderOutputs({outputs, tolerance}: VerificationResult, style: Style): string[] {
  const head = ['output', 'inputs', 'images', 'median |Δ|', '99 %', '99.9 %', 'most', 'relative', 'same top', 'beyond'];
  const rows = outputs.map((o) => [
    printable(o.output),
    o.kind,
    count(o.images),
    ...[o.p50, o.p99, o.p999, o.maxAbs, o.relative].map(tiny),
    `${count(o.sameTop1)}/${count(o.images)}`,
    count(o.exceeding),
  ]);
  const [first, ...rest] = table([head, ...rows], [{maxWidth: 30}, {}, ...head.slice(2).map(() => right)]);
  return [style.dim(first!), ...rest, style.dim(`  allowed: ${tiny(tolerance)} of max(1, largest output) of each image`)];
}

const numbers = ({min, max, mean, deviation, nonFinite}: TensorStatistics): string =>
  `${short(min)} to ${short(max)}, mean ${short(mean)}, deviation ${short(deviation)}${nonFinite > 0 ? `, ${plural(nonFinite, 'number')} not finite` : ''}`;
const short = (x: number): string => (Number.isFinite(x) ? String(Number(x.toPrecision(4))) : String(x));

/** Every layer agrees when its value is asked for, and the outputs do not when they alone are. */
const ONLY_FUSED = 'The difference comes from what the runtime makes of the whole graph: try another provider';

function renderDivergence(d: Divergence, ok: boolean, style: Style): string[] {
  if (d.compared === 0) return [style.warn('the models have no inner value of one name: only their outputs can be compared')];
  const place = `${plural(d.compared, 'layer')} of one name compared on the worst image`;
  if (!d.first) return [`${place}: all agree${ok ? '' : `. ${ONLY_FUSED}`}`];
  const at = d.layers.indexOf(d.first);
  const shown = d.layers.slice(Math.max(0, at - 2), at + MAX_LAYERS - 2);
  const rows = shown.map((l) => [
    l === d.first ? '→' : '',
    printable(l.name),
    printable(l.operator),
    l.shape,
    tiny(l.maxAbs),
    tiny(l.relative),
  ]);
  return [
    place,
    ...table([['', 'layer', 'operator', 'shape', 'most', 'relative'], ...rows], [{}, {maxWidth: 44}, {}, {}, right, right]),
    `first to differ: ${style.bold(printable(d.first.name))}${d.lastEqual ? `; ${printable(d.lastEqual.name)} before it agrees` : ''}`,
    ...renderTensors(d.first),
    '',
  ];
}
const renderTensors = ({reference, actual}: LayerComparison): string[] => [
  `  reference  ${numbers(reference)}`,
  `  actual     ${numbers(actual)}`,
];

function verdict({ok, worst, outputs}: VerificationResult, style: Style): string {
  const images = outputs.reduce((n, o) => n + o.images, 0);
  if (ok) return `${style.good('equal')}  the same function on ${plural(images, 'image')}, within the tolerance`;
  const where = worst
    ? `: worst on '${printable(worst.image)}' (${worst.kind}), ${tiny(worst.relative)} of the largest output`
    : '';
  return `${style.bad('DIFFERENT')}  the models do not compute the same function${where}`;
}
