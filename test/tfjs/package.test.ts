/** `gpd-toolkit/tfjs` as a user has it: the entry of the package, and the example of docs/tfjs.md, run by plain Node on what was built. */
import {spawnSync} from 'node:child_process';
import {existsSync, mkdirSync, readFileSync, rmSync, writeFileSync} from 'node:fs';
import {join} from 'node:path';

const root = join(__dirname, '../..');

test('the entry has types, and what the documentation names', () => {
  const {exports} = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
  for (const path of Object.values<string>(exports['./tfjs']))
    expect([path, existsSync(join(root, path))]).toEqual([path, true]);
  const text = readFileSync(join(root, 'src/tfjs/index.ts'), 'utf8');
  for (const name of ['registerOnnxruntimeBackend', 'jit', 'selectBackend', 'LeakCheck']) expect(text).toContain(name);
});

test('the example of the documentation trains', () => {
  const [, example] = /<!-- example -->\n```js\n(.*?)```\n<!-- \/example -->/s.exec(
    readFileSync(join(root, 'docs/tfjs.md'), 'utf8'),
  )!;
  mkdirSync(join(root, 'build'), {recursive: true});
  const program = join(root, 'build', `tfjs-example-${process.pid}.mjs`); // inside the package, so that it can import itself by name
  writeFileSync(program, example!);
  const {stdout, stderr, status} = spawnSync(process.execPath, [program], {encoding: 'utf8', cwd: root});
  rmSync(program);
  expect([status, stderr]).toEqual([0, '']);
  const losses = [...stdout.matchAll(/^step (\d+): loss ([\d.]+)$/gm)].map(([, , loss]) => Number(loss));
  expect(losses).toHaveLength(3);
  expect(losses[2]).toBeLessThan(losses[0]! / 2);
});
