/** What a person reads after a bench: one row a model and setting, the machine's own limit, and verdicts where there are any. */

import {bytes, count, duration, plural, si} from '../../core/format.js';
import {printable} from '../../core/printable.js';
import type {BenchResult, BenchRow, BenchVerdict} from '../../eval/bench.js';
import type {Style} from '../terminal/style.js';
import {tableLines} from '../terminal/table.js';

const right = {align: 'right'} as const;
const threadsText = (threads: number | null): string => (threads === null ? 'default' : String(threads));
const withThreads = (threads: number | null): string => (threads === null ? 'default threads' : plural(threads, 'thread'));
const ms = (value: number): string => value.toPrecision(value < 100 ? 3 : 4);

export function renderBench(b: BenchResult & {providerReason: string}, style: Style): string[] {
  const peaks = b.peaks.map(({threads, gflops}) => `${count(Math.round(gflops))} GFLOP/s with ${withThreads(threads)}`);
  return [
    `run by ${b.provider} (${b.providerReason}); matrix products of the same runtime reach ${peaks.join(', ')}`,
    ...(b.complete ? [] : [style.warn('interrupted: fewer rounds than asked for')]),
    '',
    ...renderRows(b.rows, style),
    '',
    ...b.verdicts.map((v) => renderVerdict(v, style)),
    ...b.failures.map(
      (f) =>
        `${style.bad('FAILED')}  ${printable(f.model)}, ${withThreads(f.threads)}, batch ${f.batch}: ${printable(f.reason)}`,
    ),
  ];
}

function renderRows(rows: readonly BenchRow[], style: Style): string[] {
  const head = [
    '',
    'threads',
    'batch',
    'p50 ms',
    'p90',
    'p99',
    'spread',
    'images/s',
    'MACs',
    'GFLOP/s',
    'of peak',
    'load',
    'memory',
  ];
  const cells = rows.map((r) => [
    printable(r.model),
    threadsText(r.threads),
    String(r.batch),
    ...[r.p50, r.p90, r.p99].map(ms),
    `${r.spreadPercent.toFixed(1)} %`,
    count(Math.round(r.imagesPerSecond)),
    si(r.macs),
    r.gflops.toPrecision(3),
    `${r.peakShare.toFixed(0)} %`,
    duration(r.loadMs),
    bytes(r.peakBytes),
  ]);
  const [first, ...rest] = tableLines([head, ...cells], [{maxWidth: 36}, ...head.slice(1).map(() => right)]);
  return [style.dim(first!), ...rest];
}

function renderVerdict(
  {a, b, threads, batch, faster, ratio, differencePercent, spreadPercent}: BenchVerdict,
  style: Style,
): string {
  const where = `${withThreads(threads)}, batch ${batch}`;
  const measured = `${differencePercent.toFixed(1)} % apart, rounds vary by ${spreadPercent.toFixed(1)} %`;
  if (!faster) return `${style.warn('no verdict')}  ${printable(a)} and ${printable(b)}, ${where}: ${measured}`;
  const [fast, slow] = faster === 'a' ? [a, b] : [b, a];
  const factor = faster === 'a' ? ratio : 1 / ratio;
  return `${style.good('faster')}  ${style.bold(printable(fast))} is ${factor.toFixed(2)} times as fast as ${printable(slow)}, ${where} (${measured})`;
}
