/** What a person reads about a checkpoint: the file, its network, its tensors. */
import {basename} from 'node:path';
import {bytes, count, plural} from '../../core/format.js';
import {printable} from '../../core/printable.js';
import {shellWord} from '../../core/shell.js';
import {formatShape} from '../../core/tensor.js';
import type {CheckpointSummary, TensorSummary} from '../../workflows/summaries/checkpoint.js';
import type {Style} from '../terminal/style.js';
import {tableLines} from '../terminal/table.js';
import {renderNetwork} from './network.js';

const containers: Record<string, string> = {
  'torch-zip': 'PyTorch checkpoint (zip)',
  'torch-legacy': 'PyTorch checkpoint (before 1.6)',
  safetensors: 'safetensors',
};

export function renderCheckpoint(c: CheckpointSummary, style: Style, {all}: {all: boolean}): string[] {
  return [
    `${style.bold(printable(basename(c.path)))}  ${containers[c.format] ?? c.format}, ${bytes(c.bytes)}`,
    ...renderEntries(c, style),
    '',
    ...(c.network ? renderNetwork(c.network, style) : renderProblem(c, style)),
    ...renderInert(c, style),
    ...c.warnings.map((warning) => `${style.warn('warning')}  ${printable(warning)}`),
    '',
    ...(all ? renderArgs(c, style) : []),
    ...(c.tree.length > 0 ? renderTree(c, style) : renderTensors(c.tensors, style, all)),
  ];
}

/** State dicts with their sizes; other entries with their values, or the reason why they are not used. */
function renderEntries({entries, stateDicts, ignored, prefix}: CheckpointSummary, style: Style): string[] {
  const reasons = new Map(ignored.map(({key, reason}) => [key, reason]));
  const sizes = new Map(stateDicts.map((dict) => [dict.key, dict]));
  const rows = entries.map(({key, value}) => {
    const dict = sizes.get(key);
    const what = dict ? `${plural(dict.tensors, 'tensor')}, ${bytes(dict.bytes)}` : value;
    return [printable(key), printable(what), dict?.used ? 'used' : printable(reasons.get(key) ?? '')];
  });
  const listed = new Set<string | null>(entries.map(({key}) => key));
  const nested = stateDicts
    .filter(({key}) => key !== null && !listed.has(key))
    .map(({key, tensors, bytes: size, used, averaged}) => [
      printable(key!),
      `${plural(tensors, 'tensor')}, ${bytes(size)}`,
      used ? 'used' : averaged ? 'averaged weights: --ema' : `another state dict: --key ${printable(shellWord(key!))}`,
    ]);
  const bare = stateDicts
    .filter(({key}) => key === null)
    .map(({tensors}) => `  the file itself is the state dict, of ${plural(tensors, 'tensor')}`);
  return [
    ...(rows.length + nested.length === 0
      ? bare
      : tableLines([...rows, ...nested], [{maxWidth: 48}, {maxWidth: 28}, {paint: style.dim}])),
    ...(prefix === '' ? [] : [`  every key begins with '${prefix}', which is left out`]),
  ];
}

const MAX_CLASSES = 6;

/** What nothing was made of: nobody should wonder what became of a class of theirs. */
function renderInert({inert}: CheckpointSummary, style: Style): string[] {
  if (inert.length === 0) return [];
  const shown = inert.slice(0, MAX_CLASSES).map(({type, count: n}) => `${printable(type)}${n > 1 ? ` (${count(n)})` : ''}`);
  const more = inert.length > MAX_CLASSES ? ` and ${inert.length - MAX_CLASSES} more` : '';
  return [style.dim(`  read as data without a meaning, nothing was executed: ${shown.join(', ')}${more}`)];
}

function renderTree({tree}: CheckpointSummary, style: Style): string[] {
  const lines = tree.map(({depth, place, text}) => {
    const name = place === '' ? '' : `${printable(place)}  `;
    return `${'  '.repeat(depth + 1)}${name}${style.dim(printable(text))}`;
  });
  return [style.bold('what is in it'), ...lines];
}

function renderProblem({problem}: CheckpointSummary, style: Style): string[] {
  if (!problem) return [];
  const {code, message, hint} = problem;
  return [
    `${style.warn('not recognised')}  ${printable(message)}`,
    style.dim(`  ${code}${hint === undefined ? '' : `: ${hint}`}`),
  ];
}

function renderArgs({args, meta}: CheckpointSummary, style: Style): string[] {
  const rows = Object.entries(args ?? meta).map(([name, value]) => [printable(name), printable(JSON.stringify(value) ?? '')]);
  return rows.length === 0
    ? []
    : [
        style.bold(args ? 'training options' : 'values'),
        ...tableLines(rows, [{paint: style.dim, maxWidth: 32}, {maxWidth: 100}]),
        '',
      ];
}

function renderTensors(tensors: readonly TensorSummary[], style: Style, all: boolean): string[] {
  if (all) {
    const rows = tensors.map((t) => [
      printable(t.name),
      `${t.dtype} ${formatShape(t.shape)}`,
      printable(t.reason ?? t.use ?? ''),
    ]);
    return [style.bold('tensors'), ...tableLines(rows, [{}, {}, {paint: style.dim}])];
  }
  const rows = groupTensors(tensors).map(({name, members}) => [
    printable(name),
    count(members.length),
    bytes(members.reduce((n, t) => n + t.bytes, 0)),
    [...new Set(members.map((t) => t.dtype))].join(', '),
    usesOf(members),
  ]);
  const [head, ...body] = tableLines(
    [['part', 'tensors', 'bytes', 'dtypes', isRecognised(tensors) ? 'read by' : ''], ...rows.slice(0, MAX_GROUPS)],
    [{maxWidth: 28}, {align: 'right'}, {align: 'right'}, {}, {}],
  );
  const more = rows.length > MAX_GROUPS ? [style.dim(`  and ${rows.length - MAX_GROUPS} more parts`)] : [];
  return [style.dim(head!), ...body, ...more, style.dim('  each tensor by name: --all')];
}

const MAX_GROUPS = 24;
const isRecognised = (tensors: readonly TensorSummary[]): boolean => tensors.some((t) => t.use !== null);

function usesOf(members: readonly TensorSummary[]): string {
  const uses = (['both', 'student', 'teacher', 'ignored'] as const).map(
    (use) => [use, members.filter((t) => t.use === use).length] as const,
  );
  return uses
    .filter(([, n]) => n > 0)
    .map(([use, n]) => `${use} ${n}`)
    .join(', ');
}

/** By the first part of the name; by the first two where the first says nothing (`model.0`, `model.1`, …). */
function groupTensors(tensors: readonly TensorSummary[]): {name: string; members: TensorSummary[]}[] {
  const by = (depth: number) => {
    const groups = new Map<string, TensorSummary[]>();
    for (const t of tensors) {
      const name = t.name.split('.').slice(0, depth).join('.');
      const members = groups.get(name) ?? [];
      members.push(t); // a hostile file has a million tensors of one prefix: no copies
      groups.set(name, members);
    }
    return [...groups].map(([name, members]) => ({name, members}));
  };
  const coarse = by(1);
  return coarse.length < 4 ? by(2) : coarse;
}
