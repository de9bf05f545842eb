/** An export as one HTML file: the table of forms with charts, what was done to each, and the evaluation where there is one. */

import {bytes, count, tiny} from '../../core/format.js';
import {checkOutput, writeAtomically} from '../../core/output.js';
import {thumbnail} from '../../data/thumbnail.js';
import type {Evaluation} from '../../eval/evaluation.js';
import {barChart, colourOf} from '../../eval/report/charts.js';
import {dataNotices} from '../../eval/report/data-warnings.js';
import {type Html, html, htmlTable} from '../../eval/report/html.js';
import {renderPage, renderReport} from '../../eval/report/page.js';
import {shownImages, THUMBNAIL_SIDE} from '../../eval/report/worst-images.js';
import {commandLine, environment} from '../report-file.js';
import type {ExportReport} from './export.js';

type Row = Pick<
  ExportReport['forms'][number],
  'name' | 'bytes' | 'nodes' | 'latencyMs' | 'imagesPerSecond' | 'top1' | 'agreement'
>;

const rowsOf = ({input, forms}: ExportReport): Row[] => [{name: 'source (float32)', agreement: null, ...input}, ...forms];

const text = (value: number | null, digits: number, unit = ''): string =>
  value === null ? '–' : `${value.toFixed(digits)}${unit}`;

async function chart(
  caption: string,
  rows: readonly Row[],
  value: (row: Row) => number | null,
  label: (n: number) => string,
): Promise<Html> {
  const bars = rows.flatMap((row, i) => {
    const n = value(row);
    return n === null ? [] : [{name: row.name, value: n, label: label(n), colour: colourOf(i)}];
  });
  if (bars.length < 2) return html``;
  return html`<figure><figcaption>${caption}</figcaption>${await barChart(caption, bars)}</figure>`;
}

function formsTable(rows: readonly Row[]): Html {
  const columns = ['bytes', 'nodes', 'latency, ms', 'images/s', 'top-1', 'agreement'];
  return htmlTable(
    [{title: 'form'}, ...columns.map((title) => ({title, numeric: true}))],
    rows.map((r) => [
      r.name,
      bytes(r.bytes),
      r.nodes === null ? '–' : count(r.nodes),
      text(r.latencyMs, 2),
      r.imagesPerSecond === null ? '–' : count(Math.round(r.imagesPerSecond)),
      text(r.top1, 2, ' %'),
      text(r.agreement, 2, ' %'),
    ]),
  );
}

function checks({forms}: ExportReport): Html {
  const columns = [
    {title: ''},
    {title: 'form'},
    {title: 'on'},
    {title: 'largest |Δ|', numeric: true},
    {title: 'relative', numeric: true},
    {title: 'allowed', numeric: true},
  ];
  const rows = forms.map(({name, check, written}) => [
    written ? html`<span class="good">written</span>` : html`<span class="bad">not written</span>`,
    name,
    check.problem === null ? check.inputs : `${check.inputs}: ${check.problem}`,
    tiny(check.maxAbs),
    tiny(check.relative),
    check.bound === null ? 'not judged' : tiny(check.bound),
  ]);
  return htmlTable(columns, rows);
}

/** What stands before the evaluation, or alone. */
async function formsSection(report: ExportReport): Promise<Html> {
  const rows = rowsOf(report);
  const notes = report.forms
    .map(({name, notes: own, warnings, refused}) => ({
      name,
      notes: own,
      warnings: [...(refused === null ? [] : [refused]), ...warnings],
    }))
    .filter((form) => form.notes.length + form.warnings.length > 0);
  const ofCalibration = report.warnings.slice(0, report.warnings.length - (report.evaluation?.warnings.length ?? 0));
  return html`${dataNotices(ofCalibration)}<h2>Forms</h2>
<div class="charts">
${await chart('Bytes', rows, (r) => r.bytes, bytes)}
${await chart(
  'Latency of one image, ms',
  rows,
  (r) => r.latencyMs,
  (n) => n.toFixed(2),
)}</div>
${formsTable(rows)}
<h2>Checked against float32</h2>
${checks(report)}
${notes.map(
  ({name, notes: own, warnings}) =>
    html`<h3>${name}</h3><ul>${warnings.map((warning) => html`<li class="bad">${warning}</li>`)}${own.map((note) => html`<li>${note}</li>`)}</ul>`,
)}`;
}

/** Before the long work, so that a bad path is known at once; what collects images while they are open; and what writes the page after it. */
export function saveExport(path: string, argv: readonly string[]) {
  checkOutput(path, {force: true, inputs: []});
  const thumbnails = new Map<number, Uint8Array>();
  const onEvaluation = async (evaluation: Evaluation, read: (index: number) => Promise<Uint8Array>): Promise<void> => {
    for (const index of shownImages(evaluation)) thumbnails.set(index, await thumbnail(await read(index), THUMBNAIL_SIDE));
  };
  const write = async (report: ExportReport): Promise<void> => {
    const context = {command: commandLine('export', argv), environment: environment(), thumbnails};
    const title = `Export of ${report.input.arch ?? report.input.path}`;
    const opening = await formsSection(report);
    const page = report.evaluation
      ? await renderReport(report.evaluation, {...context, title, opening})
      : renderPage(title, html`<h1>${title}</h1>${opening}<h2>How to reproduce</h2><pre>${context.command}</pre>`);
    writeAtomically(path, (sink) => sink(new TextEncoder().encode(page)));
  };
  return {hooks: {onEvaluation}, write};
}
