/** What a person reads after an evaluation: accuracy with intervals, how the models differ, gates, and what was left out. */

import {bytes, count, duration, plural, tiny} from '../../core/format.js';
import {printable} from '../../core/printable.js';
import type {Recipe} from '../../data/recipe.js';
import {describeRecipe} from '../../eval/choose-recipe.js';
import type {ComparisonSummary, Evaluation, ModelSummary} from '../../eval/evaluation.js';
import type {ProviderExplanation} from '../../eval/explain-provider.js';
import type {GateResult} from '../../eval/gates.js';
import {howScored} from '../../eval/output-form.js';
import type {Style} from '../terminal/style.js';
import {tableLines} from '../terminal/table.js';
import {wrapText} from '../terminal/wrap.js';
import {renderLeftOut} from './left-out.js';
import {renderModelWarnings, renderWarnings} from './warnings.js';

const WIDTH = 100;
/** Longer lists are in the report and in `--json`. */
const MAX_LISTED = 5;
const right = {align: 'right'} as const;

export function renderEvaluation(e: Evaluation, style: Style): string[] {
  return [
    ...renderSettings(e, style),
    ...renderModelWarnings(e.models, style),
    ...renderWarnings(e.warnings, style),
    '',
    ...renderModels(e, style),
    '',
    ...e.comparisons.flatMap((c) => renderComparison(c, style)),
    ...renderConfusions(e, style),
    ...e.providers.flatMap(({model, explanation}) => renderProvider(model, explanation, style)),
    ...renderFailures(e, style),
    ...renderFastCheck(e),
    ...e.gates.map((gate) => renderGate(gate, style)),
    ...renderTiming(e).map(style.dim),
    ...renderLeftOut(e.models, style),
  ];
}

function renderSettings({settings, images, complete}: Evaluation, style: Style): string[] {
  const {data, classes, recipe, recipeReason, provider, batchSize} = settings;
  const seen = complete ? count(images.total) : `${count(images.seen)} of ${count(images.total)}`;
  const partial = complete ? [] : [style.warn('interrupted: the numbers are of the images that were seen')];
  const prepared = `images ${describeRecipe(recipe as Recipe)} (${recipeReason})`;
  const engine = `run by ${provider.used} (${provider.reason}), ${plural(batchSize, 'image')} in a batch`;
  return [
    `${style.bold(printable(data))}  ${seen} images${classes > 0 ? `, ${plural(classes, 'class').replace(/classs$/, 'classes')}` : ''}`,
    ...wrapText(prepared, WIDTH).map(style.dim),
    ...wrapText(engine, WIDTH).map(style.dim),
    ...partial,
  ];
}

const percentText = (value: number | null, digits = 2): string => (value === null ? '' : value.toFixed(digits));
const interval = ([low, high]: [number, number]): string => `${low.toFixed(2)}–${high.toFixed(2)}`;

function renderModels({models, baseline}: Evaluation, style: Style): string[] {
  const head = ['', 'top-1 %', '95 %', 'top-5 %', 'loss', 'calibration', 'agreement', 'images/s'];
  const rows = models.map((m) => [
    printable(m.name),
    percentText(m.top1),
    m.top1Interval === null ? '' : interval(m.top1Interval),
    percentText(m.top5),
    m.crossEntropy === null ? '' : m.crossEntropy.toFixed(4),
    m.calibrationError === null ? '' : `${m.calibrationError.toFixed(2)} %`,
    m.name === baseline || m.agreement === null ? '' : `${percentText(m.agreement)} %`,
    rate(m.imagesPerSecond),
  ]);
  const [first, ...rest] = tableLines([head, ...rows], [{maxWidth: 44}, ...head.slice(1).map(() => right)]);
  return [
    style.dim(first!),
    ...rest,
    ...models.flatMap(renderOutputs).map(style.dim),
    ...models.filter((m) => m.nonFinite > 0).map((m) => renderNonFinite(m, style)),
  ];
}

/** Only what is not usual. */
function renderOutputs({name, outputs: {form, because}}: ModelSummary): string[] {
  if (form === 'logits') return [];
  const text = `  ${printable(name)} gives ${form}: ${printable(because)}; ${howScored(form)}`;
  return wrapText(text, WIDTH);
}

const rate = (r: number): string => (r >= 100 ? count(Math.round(r)) : r.toPrecision(3));
/** No number of such a model means anything: none is shown. */
const renderNonFinite = ({name, nonFinite, nonFiniteImages: [first = '']}: ModelSummary, style: Style): string =>
  style.bad(
    `${printable(name)}: not measured, outputs are NaN or infinite on ${plural(nonFinite, 'image')} (first ${printable(first)})`,
  );

function renderComparison(c: ComparisonSummary, style: Style): string[] {
  const title = `${style.bold(printable(c.a))} and ${style.bold(printable(c.b))}`;
  if (c.difference === null) return [title, `  not compared: outputs are NaN or infinite on ${plural(c.nonFinite, 'image')}`];
  const same = Math.round(((c.agreement ?? 0) * c.images) / 100);
  const labelled = c.bothRight + c.bothWrong + c.onlyA + c.onlyB > 0;
  const mcnemar = `only the first is right on ${count(c.onlyA)}, only the second on ${count(c.onlyB)} (McNemar p = ${pText(c.mcnemar)})`;
  return [
    title,
    `  same top class on ${count(same)} of ${count(c.images)} images${labelled ? `; ${mcnemar}` : ''}`,
    `  ${c.compared} differ by ${tiny(c.difference.median)} in the median image, ${tiny(c.difference.max)} at most`,
  ];
}
const pText = (p: number): string => (p >= 0.001 ? p.toFixed(3) : tiny(p));

/** Of the last model: what is deployed. */
function renderConfusions({models}: Evaluation, style: Style): string[] {
  const {name, confusions, perClass} = models.at(-1)!;
  if (confusions.length === 0) return [];
  const rows = confusions
    .slice(0, MAX_LISTED)
    .map((c) => ['', `${count(c.images)}×`, printable(c.class), 'taken for', printable(c.predicted)]);
  const measured = perClass.filter((c) => c.images > 0).sort((a, b) => a.top1! - b.top1!);
  const [worst, best] = [measured[0]!, measured.at(-1)!];
  return [
    `${style.bold(printable(name))} errs most often with`,
    ...tableLines(rows, [{}, right, {maxWidth: 40}, {paint: style.dim}, {maxWidth: 40}], ''),
    `  hardest class ${printable(worst.class)} ${percentText(worst.top1)} %, easiest ${printable(best.class)} ${percentText(best.top1)} %`,
  ];
}

export function renderProvider(model: string, {asked, shares, fallback}: ProviderExplanation, style: Style): string[] {
  const list = (operators: {operator: string; nodes: number}[]) =>
    operators
      .slice(0, MAX_LISTED)
      .map(({operator, nodes}) => `${nodes} ${printable(operator)}`)
      .join(', ');
  const lines = shares.map(
    ({provider, nodes, ms, operators}) =>
      `  ${provider} ran ${plural(nodes, 'node')} in ${duration(ms)}: ${list(operators)}${operators.length > MAX_LISTED ? ', …' : ''}`,
  );
  const left = fallback.reduce((n, f) => n + f.nodes, 0);
  const warning = left > 0 ? [style.warn(`  ${asked} left ${plural(left, 'node')} to another: ${list(fallback)}`)] : [];
  return [style.bold(printable(model)), ...lines, ...warning];
}

function renderFastCheck({fastCheck}: Evaluation): string[] {
  if (!fastCheck) return [];
  const {model, images, agreement, nonFinite, top1Exact, top1Fast} = fastCheck;
  const points =
    top1Exact === null || top1Fast === null ? '' : `; top-1 ${top1Fast.toFixed(2)} % instead of ${top1Exact.toFixed(2)} %`;
  const found =
    agreement === null
      ? `cannot be compared: its outputs are NaN or infinite on ${count(nonFinite)}`
      : `gives the same top class on ${agreement.toFixed(2)} %${points}`;
  const text = `--fast is not exact: on ${plural(images, 'image')} prepared both ways, ${printable(model)} ${found}`;
  return wrapText(text, WIDTH);
}

function renderFailures({failures, images}: Evaluation, style: Style): string[] {
  if (images.failed === 0) return [];
  const listed = failures.slice(0, MAX_LISTED).map(({path, reason}) => `  ${printable(path)}: ${printable(reason)}`);
  const more = images.failed > listed.length ? [`  … ${count(images.failed - listed.length)} more`] : [];
  return [
    style.warn(`${plural(images.failed, 'image')} could not be read and ${images.failed === 1 ? 'is' : 'are'} not counted:`),
    ...listed,
    ...more,
  ];
}

const gateText: Readonly<Record<GateResult['gate'], (value: string, bound: number) => string>> = {
  'min-top1': (value, bound) => `top-1 ${value} %, at least ${bound} % asked for`,
  'max-drop': (value, bound) => `top-1 drops by ${value} points, at most ${bound} allowed`,
  'min-agreement': (value, bound) => `agrees on ${value} %, at least ${bound} % asked for`,
};
export function renderGate({gate, model, bound, value, because, ok}: GateResult, style: Style): string {
  const text = value === null ? `nothing to judge: ${because}` : gateText[gate](value.toFixed(2), bound);
  return `${ok ? style.good('passed') : style.bad('FAILED')}  ${printable(model)}: ${text}`;
}

function renderTiming({timing, peakBytes, images}: Evaluation): string[] {
  const waited = timing.waitMs / Math.max(1, timing.elapsedMs);
  const bound = waited > 0.5 ? 'reading and decoding take the time' : 'the models take the time';
  const cores = timing.cpuMs / Math.max(1, (1000 * images.seen) / timing.imagesPerSecond);
  return [
    `${plural(images.seen, 'image')} in ${duration(timing.elapsedMs)}, ${rate(timing.imagesPerSecond)} a second (${bound}), ${cores.toFixed(1)} cores busy, at most ${bytes(peakBytes)} of memory`,
  ];
}
