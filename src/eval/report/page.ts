/** An evaluation as one HTML file that needs nothing else: charts are inline SVG, images are data. */
import type {Recipe} from '../../data/recipe.js';
import {withoutText} from '../../models/unknown-keys.js';
import {describeRecipe} from '../choose-recipe.js';
import type {ComparisonSummary, Evaluation, MeasuredComparison, ModelSummary} from '../evaluation.js';
import type {GateResult} from '../gates.js';
import {howScored, oneNumber} from '../output-form.js';
import {barChart, colourOf, columnChart, lineChart} from './charts.js';
import {dataNotices} from './data-warnings.js';
import {type Html, html, htmlTable} from './html.js';
import {style} from './style.js';
import {differing, type Thumbnails, worstOf} from './worst-images.js';

export interface ReportContext {
  /** The command that was given. */
  command: string;
  /** Versions and machine, one fact a row. */
  environment: readonly (readonly [what: string, value: string])[];
  thumbnails: Thumbnails;
  /** Default: what was evaluated. */
  title?: string;
  /** What stands before the results. */
  opening?: Html;
}

const MAX_CONFUSIONS = 20;
const MAX_CLASSES = 20;
/** From here on an axis is logarithmic. */
const MANY_TIMES = 20;

const percent = (value: number | null): string => (value === null ? '–' : `${value.toFixed(2)} %`);
const grouped = (n: number): string => String(Math.round(n)).replace(/\B(?=(\d{3})+(?!\d))/g, ',');
const megabytes = (n: number): string => `${(n / 1e6).toFixed(n < 1e7 ? 2 : 1)} MB`;
const millions = (n: number): string => `${(n / 1e6).toFixed(n < 1e7 ? 2 : 0)} M`;
const small = (n: number): string => (n === 0 ? '0' : n >= 0.01 ? n.toPrecision(2) : n.toExponential(1));

const figure = (caption: string, chart: Html): Html => html`<figure><figcaption>${caption}</figcaption>${chart}</figure>`;

export async function renderReport(e: Evaluation, context: ReportContext): Promise<string> {
  const {images, settings} = e;
  const {title = `Evaluation on ${settings.data}`, opening} = context;
  const body = html`<h1>${title}</h1>
<p class="soft">${grouped(images.seen)} ${images.seen === 1 ? 'image' : 'images'}${settings.classes > 0 && html`, ${settings.classes} classes`}; ${e.models.length} ${e.models.length === 1 ? 'model' : 'models'} on the same batches</p>
${notices(e)}
${opening}
${gatesOf(e.gates)}
<h2>Accuracy</h2>
${await accuracy(e)}
${e.comparisons.length > 0 && html`<h2>How the models differ</h2>`}
${await Promise.all(e.comparisons.map(comparison))}
<h2>Before and after: size</h2>
${await sizes(e.models)}
<h2>Latency</h2>
${await latency(e)}
${differing(e, context.thumbnails)}
${worstOf(e.models.at(-1)!, context.thumbnails)}
${mistakes(e.models.at(-1)!)}
<h2>Configuration</h2>
${configuration(e, context)}
<h2>How to reproduce</h2>
<pre>${context.command}</pre>`;
  return renderPage(title, body);
}

/** A page that needs nothing else. */
export const renderPage = (title: string, body: Html): string =>
  html`<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<title>${title}</title><style>${style}</style></head><body>
${body}
</body></html>
`.text;

function notices({complete, images, failures, warnings}: Evaluation): Html {
  return html`${!complete && html`<p class="notice">Interrupted: the numbers are of ${grouped(images.seen)} of ${grouped(images.total)} images.</p>`}
${dataNotices(warnings)}
${
  images.failed > 0 &&
  html`<div class="notice">${grouped(images.failed)} ${images.failed === 1 ? 'image' : 'images'} could not be read and are not counted.
<details><summary>Which</summary>${htmlTable(
    [{title: 'file'}, {title: 'why'}],
    failures.map((f) => [f.path, f.reason]),
  )}</details></div>`
}`;
}

const gateNames: Readonly<Record<GateResult['gate'], string>> = {
  'min-top1': 'least top-1',
  'max-drop': 'largest drop',
  'min-agreement': 'least agreement',
};
function gatesOf(gates: readonly GateResult[]): Html {
  if (gates.length === 0) return html``;
  // The verdict first: on a phone the end of a table is out of sight.
  const columns = [
    {title: ''},
    {title: 'gate'},
    {title: 'bound', numeric: true},
    {title: 'measured', numeric: true},
    {title: 'model'},
  ];
  const rows = gates.map(({gate, model, bound, value, because, ok}) => [
    ok ? html`<span class="good">passed</span>` : html`<span class="bad">failed</span>`,
    gateNames[gate],
    bound,
    value === null ? (because ?? '–') : value.toFixed(2),
    model,
  ]);
  return html`<h2>Gates</h2>${htmlTable(columns, rows)}`;
}

const withInterval = (interval: ModelSummary['top1Interval']) => (interval === null ? {} : {interval});

async function accuracy({models, baseline}: Evaluation): Promise<Html> {
  const bars = (which: 'top1' | 'top5') =>
    models.map((m, i) => ({
      name: m.name,
      value: m[which] ?? 0,
      label: percent(m[which]),
      colour: colourOf(i),
      ...withInterval(m[`${which}Interval`]),
    }));
  const columns = ['top-1', '95 % interval', 'top-5', 'cross-entropy', 'calibration error', 'agreement'];
  const rows = models.map((m) => [
    m.name,
    percent(m.top1),
    m.top1Interval === null ? '–' : `${m.top1Interval[0].toFixed(2)} – ${m.top1Interval[1].toFixed(2)}`,
    percent(m.top5),
    m.crossEntropy === null ? '–' : m.crossEntropy.toFixed(4),
    percent(m.calibrationError),
    m.name === baseline ? 'baseline' : percent(m.agreement),
  ]);
  return html`<div class="charts">
${figure('Top-1, percent; the line is the 95 % Wilson interval', await barChart('top-1 accuracy', bars('top1'), 100))}
${figure('Top-5, percent', await barChart('top-5 accuracy', bars('top5'), 100))}</div>
${htmlTable([{title: 'model'}, ...columns.map((title) => ({title, numeric: true}))], rows)}
${models.map(outputs)}${models.map(nonFinite)}${models.map(without)}${models.map(warned)}`;
}

const nonFinite = ({name, nonFinite, nonFiniteImages}: ModelSummary): Html =>
  html`${
    nonFinite > 0 &&
    html`<p class="notice"><span class="bad">${name}: not measured</span>, outputs are NaN or infinite on ${grouped(nonFinite)} ${nonFinite === 1 ? 'image' : 'images'}: ${nonFiniteImages.join(', ')}${nonFinite > nonFiniteImages.length && ', …'}</p>`
  }`;
const without = ({name, without}: ModelSummary): Html =>
  html`${without.length > 0 && html`<p class="notice">${name} is ${withoutText(without)}</p>`}`;
const warned = ({name, warnings}: ModelSummary): Html =>
  html`${warnings.map((text) => html`<p class="notice">${name}: ${text}</p>`)}`;

/** Only what is not usual. */
const outputs = ({name, outputs: {form, because}}: ModelSummary): Html =>
  html`${form !== 'logits' && html`<p class="soft">${name} gives ${form}: ${because}; ${howScored(form)}.</p>`}`;

/** An edge of a bin: one digit says it. */
const edge = (low: number): string => (low === 0 || low >= 1e-3 ? String(Number(low.toPrecision(2))) : low.toExponential(0));

async function comparison(c: ComparisonSummary): Promise<Html> {
  if (c.difference === null)
    return html`<h3>${c.a} and ${c.b}</h3><p>Not compared: outputs are NaN or infinite on ${grouped(c.nonFinite)} images.</p>`;
  const columns = c.histogram.map(({low, count}) => ({label: edge(low), value: count}));
  const labelled = c.bothRight + c.bothWrong + c.onlyA + c.onlyB > 0;
  const facts: [string, string][] = [
    [
      'same top class',
      `${percent(c.agreement)} (95 %: ${c.agreementInterval[0].toFixed(2)} – ${c.agreementInterval[1].toFixed(2)})`,
    ],
    ...(labelled ? answers(c) : []),
    [
      `largest |Δ| of a ${oneNumber[c.compared]}`,
      `${small(c.difference.median)} in the median image, ${small(c.difference.max)} at most`,
    ],
  ];
  return html`<h3>${c.a} and ${c.b}</h3><div class="charts"><dl>${facts.map(([what, value]) => html`<dt>${what}</dt><dd>${value}</dd>`)}</dl>
${figure(`Images by their largest difference of a ${oneNumber[c.compared]}`, await columnChart('histogram of differences', columns, colourOf(0), '|Δ|'))}</div>`;
}
const answers = (c: MeasuredComparison): [string, string][] => [
  ['both right', grouped(c.bothRight)],
  ['only the first right', grouped(c.onlyA)],
  ['only the second right', grouped(c.onlyB)],
  ['both wrong', grouped(c.bothWrong)],
  ['McNemar', `p = ${c.mcnemar >= 0.001 ? c.mcnemar.toFixed(3) : c.mcnemar.toExponential(1)}`],
];

async function sizes(models: readonly ModelSummary[]): Promise<Html> {
  const chart = (label: string, value: (m: ModelSummary) => number, text: (n: number) => string) =>
    barChart(
      label,
      models.map((m, i) => ({name: m.name, value: value(m), label: text(value(m)), colour: colourOf(i)})),
    );
  const operators = (m: ModelSummary) => m.size.operators.map(([operator, n]) => `${n} ${operator}`).join(', ');
  return html`<div class="charts">
${figure('Nodes of the graph', await chart('nodes', (m) => m.size.nodes, grouped))}
${figure('Weights', await chart('weights', (m) => m.size.weightBytes, megabytes))}
${figure('Multiply-accumulates for one image', await chart('multiply-accumulates', (m) => m.size.macs, millions))}</div>
<details><summary>Operators</summary>${htmlTable(
    [{title: 'model'}, {title: 'nodes by operator'}],
    models.map((m) => [m.name, operators(m)]),
  )}</details>`;
}

async function latency({models, settings}: Evaluation): Promise<Html> {
  const lines = models.map(({name, latency: {histogram}}, i) => ({
    name,
    colour: colourOf(i),
    points: histogram.map(({low, high, count}) => [Math.sqrt(low * high), count] as const),
  }));
  const all = lines.flatMap(({points}) => points.map(([x]) => x));
  const isWide = Math.max(...all) > MANY_TIMES * Math.min(...all);
  const rows = models.map(({name, latency: l, imagesPerSecond, loadMs}) => [
    name,
    ...[l.p50, l.p90, l.p99].map((ms) => ms.toFixed(1)),
    grouped(imagesPerSecond),
    (loadMs / 1000).toFixed(2),
  ]);
  const columns = ['p50, ms', 'p90, ms', 'p99, ms', 'images/s', 'load, s'];
  const note = 'Images were decoded at the same time; gpd bench measures a model alone.';
  return html`<div class="charts">
${figure(`Batches of ${settings.batchSize} by their time in the model`, await lineChart('distribution of latency', lines, {x: 'ms', log: isWide}))}
<div>${htmlTable([{title: 'model'}, ...columns.map((title) => ({title, numeric: true}))], rows)}<p class="soft">${note}</p></div></div>`;
}

function mistakes({name, confusions, perClass}: ModelSummary): Html {
  if (confusions.length === 0) return html``;
  const shown = perClass.filter((c) => c.images > 0).sort((a, b) => a.top1! - b.top1!);
  const classes = shown.slice(0, MAX_CLASSES).map((c) => [c.class, c.images, percent(c.top1), percent(c.top5)]);
  const pairs = confusions.slice(0, MAX_CONFUSIONS).map((c) => [c.class, c.predicted, c.images]);
  const columns = [
    {title: 'class'},
    {title: 'images', numeric: true},
    {title: 'top-1', numeric: true},
    {title: 'top-5', numeric: true},
  ];
  return html`<h2>Mistakes of ${name}</h2><div class="charts">
<div><h3>Most frequent</h3>${htmlTable([{title: 'class'}, {title: 'taken for'}, {title: 'images', numeric: true}], pairs)}</div>
<div><h3>Hardest classes</h3>${htmlTable(columns, classes)}</div></div>`;
}

function configuration({settings, models, providers, timing, peakBytes}: Evaluation, {environment}: ReportContext): Html {
  const {data, recipe, recipeReason, provider, batchSize, threads} = settings;
  const rows: (readonly [string, string])[] = [
    ['images', data],
    ['prepared', `${describeRecipe(recipe as Recipe)} (${recipeReason})`],
    ['provider', `${provider.used} (${provider.reason})`],
    ...providers.map(
      ({model, explanation}) =>
        [`nodes of ${model}`, explanation.shares.map((s) => `${s.nodes} by ${s.provider}`).join(', ')] as const,
    ),
    ['batch', String(batchSize)],
    ['threads', threads === null ? 'the runtime’s choice' : String(threads)],
    ...models.map((m) => [m.form === 'onnx' ? 'model' : `checkpoint, ${m.form} in training form`, m.path] as const),
    ['time', `${(timing.elapsedMs / 1000).toFixed(1)} s, ${grouped(timing.imagesPerSecond)} images a second`],
    ['memory', `at most ${megabytes(peakBytes)}`],
    ...environment,
  ];
  return html`<dl>${rows.map(([what, value]) => html`<dt>${what}</dt><dd>${value}</dd>`)}</dl>`;
}
