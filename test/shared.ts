/** Files that lie outside the repository (photographs, goldens of the original implementation). Tests that need them run where they are. */
import {existsSync, readdirSync} from 'node:fs';
import {join} from 'node:path';

export const sharedRoot = process.env['GPD_SHARED'] ?? join(__dirname, '../../shared');
export const shared = (...path: string[]): string => join(sharedRoot, ...path);

/** `describe` when the path exists under the shared folder, else a skipped one that says so. */
export function describeShared(path: string, name: string, body: () => void): void {
  if (existsSync(shared(path))) describe(name, body);
  else describe.skip(`${name} (needs ${path})`, () => test('not run', () => {}));
}

/** The sub-folders of a shared folder that match, or none where it is absent. */
export const sharedCases = (path: string, pattern: RegExp): string[] =>
  existsSync(shared(path))
    ? readdirSync(shared(path))
        .filter((name) => pattern.test(name))
        .sort()
    : [];
