// Lines a folder, and the longest files: `npm run size`. Code that is deleted shows here first.
import {readdirSync, readFileSync} from 'node:fs';
import {dirname, join} from 'node:path';

const files = ['src', 'bin', 'scripts', 'fixtures', 'bench', 'test']
  .flatMap((folder) => readdirSync(folder, {recursive: true, withFileTypes: true}))
  .filter((entry) => entry.isFile() && /\.(ts|js|cjs)$/.test(entry.name))
  .map((entry) => join(entry.parentPath, entry.name))
  .map((path) => ({path, lines: readFileSync(path, 'utf8').split('\n').length - 1}))
  .sort((a, b) => b.lines - a.lines);

const folders = new Map();
for (const {path, lines} of files) {
  const {files: n = 0, lines: sum = 0} = folders.get(dirname(path)) ?? {};
  folders.set(dirname(path), {files: n + 1, lines: sum + lines});
}
const row = (lines, text) => console.log(`${String(lines).padStart(7)}  ${text}`);
for (const [folder, {files: n, lines}] of [...folders].sort()) row(lines, `${folder} (${n} files)`);
row(
  files.reduce((n, {lines}) => n + lines, 0),
  `all (${files.length} files, median ${files[files.length >> 1].lines})`,
);
console.log('\nlongest files');
for (const {path, lines} of files.slice(0, 10)) row(lines, path);
