/** A recognised network in a few lines: what it is, from what that was concluded, and what became of every tensor. */

import {count} from '../../core/format.js';
import {printable} from '../../core/printable.js';
import type {KeyCounts, NetworkSummary} from '../../workflows/summaries/network.js';
import type {Style} from '../terminal/style.js';
import {tableLines} from '../terminal/table.js';
import {labelled} from '../terminal/wrap.js';

const kinds: Record<NetworkSummary['kind'], (n: NetworkSummary) => string> = {
  gpd: ({ratio}) => `GPD student in a teacher ${ratio} times as wide`,
  branches: () => 'OREPA branches, not widened',
  deployed: () => 'a plain network, its convolutions with biases',
  plain: () => 'a plain network',
};

export function renderNetwork(network: NetworkSummary, style: Style): string[] {
  const {name, kind, orepa, reviewKd, evidence, tensors} = network;
  const features = [kinds[kind](network), orepa.length > 0 && kind !== 'branches' && 'OREPA', reviewKd && 'ReviewKD'];
  const facts = evidence.filter(({value}) => value !== '0');
  const rows = facts.map(({what, value, from}) => [what, printable(value), printable(from)]);
  const labelWidth = Math.max(...facts.map(({what}) => what.length));
  const uses: [string, string][] = [
    ['tensors', `${total(tensors)}: ${tensorUse(tensors)}`],
    ...tensors.ignored.map(({reason, keys}): [string, string] => [
      'ignored',
      `${keys.length} (${example(keys)}): ${printable(reason)}`,
    ]),
  ];
  return [
    `${style.bold(printable(name))}  ${features.filter(Boolean).join(', ')}`,
    ...tableLines(rows, [{paint: style.dim}, {}, {paint: style.dim}]),
    ...labelled(uses, {labelWidth, paint: style.dim}),
  ];
}

const example = (keys: readonly string[]): string => printable(keys[0]!) + (keys.length > 1 ? ', …' : '');

const total = ({both, student, teacher, ignored}: KeyCounts): number =>
  both + student + teacher + ignored.reduce((n, {keys}) => n + keys.length, 0);

/** `246 shared, 40 student's, 40 teacher's, 20 ignored`; a network that was not widened has only its own. */
function tensorUse({both, student, teacher, ignored}: KeyCounts): string {
  const unused = ignored.reduce((n, {keys}) => n + keys.length, 0);
  const parts: [number, string][] =
    student + teacher === 0
      ? [[both, 'used']]
      : [
          [both, 'shared'],
          [student, "student's"],
          [teacher, "teacher's"],
        ];
  return [...parts, [unused, 'ignored'] as const]
    .filter(([n]) => n > 0)
    .map(([n, what]) => `${count(n)} ${what}`)
    .join(', ');
}
