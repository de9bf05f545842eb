// Writes docs/commands.md from what the commands say of themselves (oclif.manifest.json, made by `npm run build`): `npm run docs`.
import {readFileSync, writeFileSync} from 'node:fs';
import {fileURLToPath} from 'node:url';

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

const text = [
  '# Commands',
  '',
  '<!-- Made by `npm run docs` from the commands themselves; a test fails when it is stale. -->',
  '',
  '`gpd-convert FILE …` is `gpd convert FILE …`. What `--json` prints, and what exit codes mean: [formats.md](formats.md).',
  '',
  ...Object.values(commands).flatMap(section),
].join('\n');

if (process.argv.includes('--print')) process.stdout.write(text);
else writeFileSync(`${root}/docs/commands.md`, text);
