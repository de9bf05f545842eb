/** A training run as one HTML file: its curves after every epoch. Like the report of an evaluation it needs nothing else. */
import type {WarningOfSet} from '../../data/warnings.js';
import {colourOf, lineChart} from './charts.js';
import {dataNotices} from './data-warnings.js';
import {type Html, html, htmlTable} from './html.js';
import {style} from './style.js';

interface Accuracy {
  readonly top1: number;
  readonly top5: number;
  readonly loss: number;
}
/** What the page reads of a line of metrics.jsonl. */
export interface TrainingEpoch {
  readonly epoch: number;
  readonly lr: number;
  readonly imagesPerSecond: number;
  readonly seconds: number;
  readonly train: Readonly<Record<string, number>>;
  readonly validation?: {
    readonly student: Accuracy;
    readonly teacher?: Accuracy;
    readonly emaStudent?: Accuracy;
    readonly emaTeacher?: Accuracy;
  };
}

export interface TrainingContext {
  readonly title: string;
  /** What a static teacher may teach by: the name in the metrics, and the one to show. */
  readonly losses: readonly {readonly name: string; readonly title: string}[];
  /** Of the images. */
  readonly warnings?: readonly WarningOfSet[];
  /** Images that could not be read: how many, the first of them, and the file that lists all. */
  readonly unreadable?: {
    readonly count: number;
    readonly images: readonly {readonly set: string; readonly path: string; readonly reason: string}[];
    readonly list: string;
  };
  readonly command: string;
  readonly environment: readonly (readonly [what: string, value: string])[];
  /** config.yaml. */
  readonly configuration: string;
}

/** A curve: its name, and its value in an epoch, where there is one. */
type Curve = readonly [name: string, value: (e: TrainingEpoch) => number | undefined];

/** Every chart of the page. Curves without any value are left out, and charts without curves. */
const chartsOf = (losses: TrainingContext['losses']): readonly (readonly [title: string, curves: readonly Curve[]])[] => [
  [
    'Top-1 on validation images, percent',
    [
      ['student', (e) => e.validation?.student.top1],
      ['dynamic teacher', (e) => e.validation?.teacher?.top1],
      ['student, moving average', (e) => e.validation?.emaStudent?.top1],
      ['dynamic teacher, moving average', (e) => e.validation?.emaTeacher?.top1],
    ],
  ],
  [
    'The gap: points of top-1 that the dynamic teacher is ahead',
    [
      ['validation images', (e) => gap(e.validation?.teacher?.top1, e.validation?.student.top1)],
      ['moving averages', (e) => gap(e.validation?.emaTeacher?.top1, e.validation?.emaStudent?.top1)],
      ['training images', (e) => ('ce_tiny' in e.train ? gap(e.train['acc1_expanded'], e.train['acc1_tiny']) : undefined)],
    ],
  ],
  [
    'Cross-entropy',
    [
      ['student, training', (e) => e.train['ce_tiny'] ?? e.train['ce_expanded']],
      ['dynamic teacher, training', (e) => ('ce_tiny' in e.train ? e.train['ce_expanded'] : undefined)],
      ['student, validation', (e) => e.validation?.student.loss],
      ['dynamic teacher, validation', (e) => e.validation?.teacher?.loss],
    ],
  ],
  [
    'Distillation losses, training',
    [
      ['from the dynamic teacher, weighted', (e) => positive(e.train['kd_loss'])],
      ...losses.map(({name, title}): Curve => [title, (e) => positive(e.train[`${name}_tiny`] ?? e.train[`${name}_expanded`])]),
    ],
  ],
  [
    'Top-1 on training images as they were augmented, percent',
    [
      ['student', (e) => e.train['acc1_tiny']],
      ['dynamic teacher', (e) => ('ce_tiny' in e.train ? e.train['acc1_expanded'] : undefined)],
    ],
  ],
  ['Learning rate', [['learning rate', (e) => e.lr]]],
  ['Norm of the gradient before clipping', [['mean over the epoch', (e) => e.train['grad_norm']]]],
  ['Images a second', [['training', (e) => e.imagesPerSecond]]],
];

const gap = (teacher: number | undefined, student: number | undefined): number | undefined =>
  teacher === undefined || student === undefined ? undefined : teacher - student;
const positive = (value: number | undefined): number | undefined => (value ? value : undefined);

async function figure(epochs: readonly TrainingEpoch[], title: string, curves: readonly Curve[]): Promise<Html | undefined> {
  const lines = curves.flatMap(([name, value], i) => {
    const points = epochs.flatMap((e): [number, number][] => {
      const y = value(e);
      return y === undefined || !Number.isFinite(y) ? [] : [[e.epoch + 1, y]];
    });
    return points.length > 0 ? [{name, colour: colourOf(i), points}] : [];
  });
  if (lines.length === 0) return undefined;
  return html`<figure><figcaption>${title}</figcaption>${await lineChart(title, lines, {x: 'epoch', curve: true})}</figure>`;
}

const percent = (value: number | undefined): string => (value === undefined ? '–' : value.toFixed(2));

function epochTable(epochs: readonly TrainingEpoch[]): Html {
  const columns = ['epoch', 'student', 'dynamic teacher', 'student, average', 'loss', 'learning rate', 'images/s'];
  const rows = epochs.map(({epoch, validation: v, train, lr, imagesPerSecond}) => [
    epoch + 1,
    percent(v?.student.top1),
    percent(v?.teacher?.top1),
    percent(v?.emaStudent?.top1),
    (train['total_loss'] ?? Number.NaN).toFixed(4),
    String(Number(lr.toPrecision(3))),
    imagesPerSecond.toFixed(imagesPerSecond < 10 ? 2 : 0),
  ]);
  return htmlTable(
    columns.map((title) => ({title, numeric: true})),
    rows,
  );
}

function unreadableTable(unreadable: TrainingContext['unreadable']): Html {
  if (!unreadable || unreadable.count === 0) return html``;
  const {count, images, list} = unreadable;
  const rows = images.map(({set, path, reason}) => [set, path, reason]);
  const rest = count > images.length ? html` The first ${images.length}; ${list} has all.` : html``;
  return html`<h2>Images that could not be read: ${count}</h2>
<p class="soft">Others took the places of training images; validation images are not counted.${rest}</p>
${htmlTable(
  ['set', 'image', 'reason'].map((title) => ({title})),
  rows,
)}`;
}

export async function renderTraining(epochs: readonly TrainingEpoch[], context: TrainingContext): Promise<string> {
  const {title, losses, command, environment, configuration} = context;
  const figures = await Promise.all(chartsOf(losses).map(([name, curves]) => figure(epochs, name, curves)));
  const hours = epochs.reduce((sum, {seconds}) => sum + seconds, 0) / 3600;
  const page = html`<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<title>${title}</title><style>${style}</style></head><body>
<h1>${title}</h1>
<p class="soft">${epochs.length} ${epochs.length === 1 ? 'epoch' : 'epochs'}, ${hours.toFixed(hours < 1 ? 2 : 1)} hours of training</p>
${dataNotices(context.warnings ?? [])}
${unreadableTable(context.unreadable)}
<div class="charts">${figures}</div>
<h2>Epochs</h2>
<p class="soft">Top-1 in percent, on validation images.</p>
${epochTable(epochs)}
<h2>Configuration</h2>
<pre>${configuration}</pre>
<dl>${environment.map(([what, value]) => html`<dt>${what}</dt><dd>${value}</dd>`)}</dl>
<h2>How to reproduce</h2>
<pre>${command}</pre>
</body></html>
`;
  return page.text;
}
