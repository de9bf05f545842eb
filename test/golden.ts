/** Text that is compared with a file under test/golden. `UPDATE_GOLDEN=1 npm test` rewrites the files; a person reads the difference. */
import {existsSync, mkdirSync, readFileSync, writeFileSync} from 'node:fs';
import {join} from 'node:path';

const folder = join(__dirname, 'golden');

export function expectGolden(name: string, text: string): void {
  const path = join(folder, name);
  if (process.env['UPDATE_GOLDEN']) {
    mkdirSync(folder, {recursive: true});
    writeFileSync(path, text);
  }
  expect(text).toBe(
    existsSync(path) ? readFileSync(path, 'utf8') : `(test/golden/${name} does not exist; run with UPDATE_GOLDEN=1)`,
  );
}
