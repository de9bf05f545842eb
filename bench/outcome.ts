/**
 * What training comes to: CIFAR ResNet-20 alone, with DKD, with GPD, and with both, from the same seeds over the same epochs.
 * `node scripts/run.js bench/outcome.ts --data TRAIN --val VAL --teacher FILE [--out runs/outcome] [--seeds 3] [--kinds plain,dkd]
 * [more options of gpd train, as --name=value]`. The teacher is a CIFAR ResNet-56. Runs go one after the other, seed by seed; what is done is not
 * done again, so that it can be stopped at any time. Prints the table of docs/results.md.
 */
import {spawnSync} from 'node:child_process';
import {existsSync, readFileSync} from 'node:fs';
import {join} from 'node:path';
import {parseArgs} from 'node:util';
import type {EpochRow} from '../src/train/run/position.js';

const allKinds = ['plain', 'dkd', 'gpd', 'dkd-gpd'] as const;
type Kind = (typeof allKinds)[number];
const titles: Readonly<Record<Kind, string>> = {
  plain: 'student alone',
  dkd: 'DKD',
  gpd: 'GPD without a static teacher',
  'dkd-gpd': 'DKD + GPD',
};

const {values, tokens} = parseArgs({
  strict: false,
  tokens: true,
  options: {
    ...{data: {type: 'string'}, val: {type: 'string'}, teacher: {type: 'string'}},
    ...{out: {type: 'string', default: 'runs/outcome'}, seeds: {type: 'string', default: '3'}, kinds: {type: 'string'}},
  },
});
const own = new Set(['data', 'val', 'teacher', 'out', 'seeds', 'kinds']);
const others = tokens.flatMap((t) =>
  t.kind === 'option' && !own.has(t.name) ? [`${t.rawName}${t.value ? `=${t.value}` : ''}`] : [],
);
const text = (name: string) => String((values as Record<string, unknown>)[name] ?? '');
const kinds = text('kinds') === '' ? allKinds : (text('kinds').split(',') as Kind[]);
const seeds = Array.from({length: Number(text('seeds'))}, (_, seed) => seed);
const folderOf = (kind: Kind, seed: number) => join(text('out'), `${kind}-${seed}`);

function epochsOf(kind: Kind, seed: number): EpochRow[] {
  const path = join(folderOf(kind, seed), 'metrics.jsonl');
  if (!existsSync(path)) return [];
  const rows = readFileSync(path, 'utf8').trim().split('\n');
  return rows.flatMap((line) => (line.startsWith('{"kind":"epoch"') ? [JSON.parse(line) as EpochRow] : []));
}

function train(kind: Kind, seed: number): void {
  const teacher = kind.startsWith('dkd') ? ['--teacher', `cifar-resnet56:${text('teacher')}`, '--kd', 'dkd'] : [];
  const where = ['--data', text('data'), '--val', text('val'), '--out', folderOf(kind, seed), '--seed', String(seed)];
  const args = ['train', '--config', `bench/outcome/${kind}.yaml`, ...teacher, ...where, ...others, '--resume'];
  const {status} = spawnSync(process.execPath, ['bin/gpd.js', ...args], {stdio: 'inherit'});
  if (status !== 0) process.exit(status ?? 1);
}

const mean = (numbers: readonly number[]) => numbers.reduce((a, b) => a + b, 0) / numbers.length;
/** Of a sample. */
const deviation = (numbers: readonly number[]) =>
  numbers.length < 2 ? Number.NaN : Math.sqrt(numbers.reduce((s, v) => s + (v - mean(numbers)) ** 2, 0) / (numbers.length - 1));
const spread = (numbers: readonly number[]) =>
  numbers.length === 0 ? '–' : `${mean(numbers).toFixed(2)} ± ${deviation(numbers).toFixed(2)}`;

for (const seed of seeds) for (const kind of kinds) train(kind, seed);
console.log(
  '| | runs | epochs | student, last epoch | best epoch | dynamic teacher, last | images/s |\n|---|---|---|---|---|---|---|',
);
for (const kind of kinds) {
  const runs = seeds.map((seed) => epochsOf(kind, seed)).filter((epochs) => epochs.length > 0);
  const last = runs.map((epochs) => epochs.at(-1)!);
  const teachers = last.flatMap(({validation}) => validation?.teacher?.top1 ?? []);
  const cells = [
    titles[kind],
    runs.length,
    Math.min(...runs.map((epochs) => epochs.length)),
    spread(last.flatMap(({validation}) => validation?.student.top1 ?? [])),
    spread(runs.map((epochs) => Math.max(...epochs.map(({validation}) => validation?.student.top1 ?? 0)))),
    spread(teachers),
    mean(last.map(({imagesPerSecond}) => imagesPerSecond)).toFixed(0),
  ];
  console.log(`| ${cells.join(' | ')} |`);
}
