/** What a person reads after an export: one table of all forms, what was done to each, gates, and where the files are. */

import {bytes, count, plural, tiny} from '../../core/format.js';
import {printable} from '../../core/printable.js';
import type {LogitsCheck} from '../../workflows/export/check.js';
import type {ExportReport, FormReport} from '../../workflows/export/export.js';
import type {Style} from '../terminal/style.js';
import {tableLines} from '../terminal/table.js';
import {wrapText} from '../terminal/wrap.js';
import {renderGate} from './evaluation.js';
import {renderLeftOut} from './left-out.js';
import {renderModelWarnings, renderWarnings} from './warnings.js';

const right = {align: 'right'} as const;
const WIDTH = 100;

export function renderExport(report: ExportReport, style: Style): string[] {
  const {input, forms, calibration, gates} = report;
  const made = input.converted ? ', converted and proven first' : '';
  return [
    `${style.bold(printable(input.path))}  ${printable(input.arch ?? 'a network without a name')}${made}`,
    ...renderModelWarnings([input], style),
    ...renderWarnings(report.warnings, style),
    '',
    ...renderForms(report, style),
    ...(input.timingFailed === null
      ? []
      : wrapText(`the source could not be timed with ${printable(input.timingFailed)}`, WIDTH)),
    '',
    ...forms.flatMap((form) => renderForm(form, style)),
    ...(forms.some(({precision}) => precision === 'fp16' || precision === 'int8')
      ? [style.dim(`ranges from ${calibration}`)]
      : []),
    ...gates.map((gate) => renderGate(gate, style)),
    ...forms.map((form) => renderFiles(form, style)),
    ...renderLeftOut([{name: input.path, without: input.without}], style),
  ];
}

const decimal = (value: number | null, digits: number): string => (value === null ? '' : value.toFixed(digits));
const rate = (value: number | null): string =>
  value === null ? '' : value >= 100 ? count(Math.round(value)) : value.toPrecision(3);

/** Columns that nothing was measured for are left out. */
function renderForms({input, forms}: ExportReport, style: Style): string[] {
  const rows = [{name: 'source', ...input, agreement: null, written: true}, ...forms] as const;
  const columns: [head: string, cell: (row: (typeof rows)[number]) => string][] = [
    ['bytes', (r) => bytes(r.bytes)],
    ['of source', (r) => `${((100 * r.bytes) / input.bytes).toFixed(0)} %`],
    ['nodes', (r) => (r.nodes === null ? '' : count(r.nodes))],
    ['latency ms', (r) => decimal(r.latencyMs, r.latencyMs !== null && r.latencyMs < 10 ? 2 : 1)],
    ['images/s', (r) => rate(r.imagesPerSecond)],
    ['top-1 %', (r) => decimal(r.top1, 2)],
    ['agreement %', (r) => decimal(r.agreement, 2)],
  ];
  const shown = columns.filter(([, cell]) => rows.some((row) => cell(row) !== ''));
  const cells = rows.map((row) => [row.name, ...shown.map(([, cell]) => cell(row))]);
  const [first, ...rest] = tableLines([['', ...shown.map(([head]) => head)], ...cells], [{}, ...shown.map(() => right)]);
  return [style.dim(first!), ...rest];
}

function renderForm({name, check, notes, warnings, refused, timingFailed}: FormReport, style: Style): string[] {
  const {inputs, images, bound, file, ok, problem} = check;
  const judged = bound === null ? 'measured, not judged' : `allowed ${tiny(bound)}`;
  const verdict = ok && refused === null ? style.good('checked') : style.bad('FAILED ');
  const compared = images > 0 ? [`logits at most ${distance(check)} (${judged})`, sameTop(check)] : [];
  const ofFile = file ? [`the file itself in onnxruntime: ${distance(file)}, ${sameTop({...file, images})}`] : [];
  const numbers = [
    inputs,
    ...(problem === null ? [compared.join(', '), ...ofFile].filter(Boolean) : [problem]),
    ...(refused === null ? [] : [refused]),
  ];
  const lines = wrapText(`${name}: ${printable(numbers.join('; '))}`, WIDTH - 9);
  const [first = '', ...more] = lines;
  const timing = timingFailed === null ? [] : wrapText(printable(`could not be timed with ${timingFailed}`), WIDTH - 9);
  const details = notes.flatMap((note) => wrapText(printable(note), WIDTH - 9));
  const warned = warnings.flatMap((warning) =>
    wrapText(printable(warning), WIDTH - 9).map((line, i) => `${i === 0 ? style.warn('warning') : '       '}  ${line}`),
  );
  const indented = (lines: readonly string[]) => lines.map((line) => `         ${line}`);
  return [
    `${verdict}  ${first.replace(name, style.bold(name))}`,
    ...indented([...more, ...timing]),
    ...warned,
    ...indented(details),
  ];
}

const distance = ({maxAbs, relative}: LogitsCheck): string => `${tiny(maxAbs)} apart, ${tiny(relative)} of the largest`;
const sameTop = ({sameTop1, images}: LogitsCheck & {images: number}) => `same top class on ${sameTop1} of ${images}`;

function renderFiles({name, path, bytes: size, files, written}: FormReport, style: Style): string {
  if (!written) return `${style.bad('not written')}  ${printable(path)}: ${name} did not hold what was asked of it`;
  const parts = files.length > 1 ? ` in ${plural(files.length, 'file')}` : '';
  return `${style.good('wrote')}    ${style.bold(printable(path))}  ${bytes(size)}${parts}`;
}
