/** A recognised network in a few lines: what it is, from what that was concluded, and what became of every tensor. */
import {count, plural, printable} from './format.js';
import type {KeyCounts, NetworkSummary} from './network-summary.js';
import type {Style} from './style.js';
import {table} from './table.js';

const kinds: Record<NetworkSummary['kind'], (n: NetworkSummary) => string> = {
  gpd: ({ratio}) => `GPD student in a teacher ${ratio} times as wide`,
  branches: () => 'OREPA branches, not widened',
  deployed: () => 'deployed already: plain convolutions with biases',
  plain: () => 'a plain network',
};

export function renderNetwork(network: NetworkSummary, style: Style): string[] {
  const {name, kind, orepa, reviewKd, evidence, tensors} = network;
  const facts = [kinds[kind](network), orepa.length > 0 && kind !== 'branches' && 'OREPA', reviewKd && 'ReviewKD'];
  const rows = evidence
    .filter(({value}) => value !== '0')
    .map(({what, value, from}) => [what, printable(value), printable(from)]);
  return [
    `${style.bold(printable(name))}  ${facts.filter(Boolean).join(', ')}`,
    ...table(
      [...rows, ['tensors', String(total(tensors)), tensorUse(tensors)]],
      [{paint: style.dim}, {}, {paint: style.dim, maxWidth: 100}],
    ),
    ...tensors.ignored.map(({reason, keys}) =>
      style.dim(`  ignored: ${plural(keys.length, 'tensor')} (${example(keys)}): ${printable(reason)}`),
    ),
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
          [student, "the student's alone"],
          [teacher, "the teacher's alone"],
        ];
  return [...parts, [unused, 'ignored'] as const]
    .filter(([n]) => n > 0)
    .map(([n, what]) => `${count(n)} ${what}`)
    .join(', ');
}
