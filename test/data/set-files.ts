/** An empty folder for each test of a file, and files in it. */
import {mkdirSync, mkdtempSync, rmSync, writeFileSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {dirname, join} from 'node:path';

/** The folder of the present test. */
export let root: string;

export function eachInItsFolder(): void {
  beforeEach(() => {
    root = mkdtempSync(join(tmpdir(), 'gpd-test-'));
  });
  afterEach(() => rmSync(root, {recursive: true, force: true}));
}

/** A file with its folders; what is in it does not matter to many tests. */
export function put(path: string, content: string | Uint8Array = path): string {
  const file = join(root, path);
  mkdirSync(dirname(file), {recursive: true});
  writeFileSync(file, content);
  return file;
}
