// Writes docs/commands.md from what the commands say of themselves, and the tables of error codes and debug topics in the other
// pages: `npm run build && npm run docs`. With --check it only says what is stale.
import {existsSync, readFileSync, writeFileSync} from 'node:fs';
import {fileURLToPath} from 'node:url';
import {defaultText} from '../dist/cli/flags/train.js';
import {debugTopics} from '../dist/core/debug.js';
import {errorCodes} from '../dist/core/error.js';
import {optionNames, options} from '../dist/train/options/options.js';
import {droppedOptions} from '../dist/train/options/original-options.js';
import {presets} from '../dist/train/options/presets.js';
import {compatRules} from '../dist/train/step/compat.js';
import {staticLosses} from '../dist/train/step/losses/index.js';

const root = fileURLToPath(new URL('..', import.meta.url));
const {commands} = JSON.parse(readFileSync(`${root}/oclif.manifest.json`, 'utf8'));

const cell = (text) => text.replaceAll('|', '\\|').replaceAll('<', '&lt;');
const render = (text, id) =>
  text.replaceAll('<%= config.bin %>', 'gpd').replaceAll('<%= command.id %>', id.replaceAll(':', ' '));

function nameOf({name, char, type, helpValue, multiple}) {
  const value = type === 'option' ? ` ${(helpValue ?? 'VALUE') + (multiple ? ',…' : '')}` : '';
  return `\`${char ? `-${char}, ` : ''}--${name}${value}\``;
}

function meaningOf({description = '', options, default: fallback}) {
  const notes = [
    options &&
      !options.every((option) => description.includes(option)) &&
      `one of ${options.map((option) => `\`${option}\``).join(' ')}`,
    fallback !== undefined && fallback !== false && `default: \`${fallback}\``,
  ].filter(Boolean);
  return [cell(description), ...notes].join('; ');
}

function flagTables(flags) {
  const groups = new Map();
  for (const flag of Object.values(flags).filter(({hidden}) => !hidden)) {
    const group = flag.helpGroup ?? '';
    groups.set(group, [...(groups.get(group) ?? []), flag]);
  }
  return [...groups]
    .sort(([a], [b]) => (a === 'GLOBAL') - (b === 'GLOBAL'))
    .flatMap(([group, members]) => [
      `| ${group === '' ? 'flag' : `${group.toLowerCase()} flag`} | |`,
      '|---|---|',
      ...members.map((flag) => `| ${nameOf(flag)} | ${meaningOf(flag)} |`),
      '',
    ]);
}

function section({id, summary, description, args, flags, examples}) {
  const named = Object.values(args);
  return [
    `## gpd ${id.replaceAll(':', ' ')}`,
    '',
    `${summary[0].toUpperCase()}${summary.slice(1)}. ${description ?? ''}`.trim(),
    '',
    '```',
    `gpd ${[id.replaceAll(':', ' '), ...named.map(({name, required}) => (required ? name.toUpperCase() : `[${name.toUpperCase()}]`))].join(' ')} [flags]`,
    '```',
    '',
    ...named.map(({name, description: text}) => `- \`${name.toUpperCase()}\`: ${cell(text)}`),
    '',
    ...flagTables(flags),
    'Examples:',
    '',
    '```',
    ...examples.map((example) => render(example, id)),
    '```',
    '',
  ];
}

const commandsPage = [
  '# Commands',
  '',
  '<!-- Made by `npm run docs` from the commands themselves; a test fails when it is stale. -->',
  '',
  '`gpd-convert FILE …` is `gpd convert FILE …`. What `--json` prints: [json.md](json.md). What exit codes mean: [formats.md](formats.md).',
  '',
  ...Object.values(commands).flatMap(section),
].join('\n');

/** The rows of a table between two marks are replaced, the page around them is written by hand. */
const withTable = (path, name, table) =>
  withRows(readFileSync(`${root}/${path}`, 'utf8'), path, name, [
    [name, ''],
    ...Object.entries(table).map(([key, meaning]) => [`\`${key}\``, cell(meaning)]),
  ]);

function withRows(page, path, name, [header, ...rows]) {
  const marks = new RegExp(`(<!-- ${name} -->\n)[\\s\\S]*?(<!-- /${name} -->)`);
  if (!marks.test(page)) throw new Error(`${path} has no marks for ${name}`);
  const line = (cells) => `|${cells.map((text) => (text === '' ? ' ' : ` ${text} `)).join('|')}|`;
  const text = [line(header), `|${'---|'.repeat(header.length)}`, ...rows.map(line)].join('\n');
  return page.replace(marks, (_, start, end) => `${start}${text}\n${end}`);
}

/** The tables of docs/training.md: options here and in the original, those it alone has, its faults, the published runs. */
function trainingPage(path) {
  const code = (names = '') =>
    names === ''
      ? ''
      : names
          .split(', ')
          .map((name) => `\`${name}\``)
          .join(' ');
  const tables = {
    losses: [
      ['`--kd`', '', 'compares', 'options', 'source'],
      ...Object.entries(staticLosses).map(([name, {title, describe, options: own, source}]) => [
        `\`${name}\``,
        title,
        cell(describe),
        Object.keys(own)
          .map((option) => `\`--${option}\``)
          .join(' '),
        source,
      ]),
    ],
    options: [
      ['option', 'default', 'what it does', 'CNN programs', 'RVT program'],
      ...optionNames.map((name) => {
        const {describe, cnn, rvt} = options[name];
        return [`\`--${name}\``, cell(defaultText(name)), cell(describe.replace(/; default:.*/, '')), code(cnn), code(rvt)];
      }),
    ],
    dropped: [
      ['option of the original', 'program', 'here'],
      ...Object.entries(droppedOptions).map(([name, {program, why}]) => [cell(name), program, cell(why)]),
    ],
    compat: [
      ['', 'by default', '`--compat reference`'],
      ...Object.entries(compatRules).map(([name, rule]) => [name, cell(rule.default), cell(rule.reference)]),
    ],
    presets: [
      ['preset', 'settings'],
      ...Object.entries(presets).map(([name, settings]) => [
        `\`${name}\``,
        Object.entries(settings)
          .map(([key, value]) => `${key} ${cell(value)}`)
          .join(', '),
      ]),
    ],
  };
  const page = readFileSync(`${root}/${path}`, 'utf8');
  return Object.entries(tables).reduce((text, [name, rows]) => withRows(text, path, name, rows), page);
}

const pages = {
  'docs/commands.md': commandsPage,
  'docs/formats.md': withTable('docs/formats.md', 'code', errorCodes),
  'docs/training.md': trainingPage('docs/training.md'),
  'docs/debugging.md': withTable('docs/debugging.md', 'topic', debugTopics),
};
const stale = Object.entries(pages).filter(
  ([path, text]) => !existsSync(`${root}/${path}`) || readFileSync(`${root}/${path}`, 'utf8') !== text,
);
if (process.argv.includes('--check')) {
  for (const [path] of stale) console.log(`${path} is stale: npm run build && npm run docs`);
  process.exitCode = stale.length > 0 ? 1 : 0;
} else for (const [path, text] of stale) writeFileSync(`${root}/${path}`, text);
