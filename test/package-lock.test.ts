/** `npm ci` refuses a lock that leaves out packages for other platforms, as npm writes it where a registry does not have them. */
import {readFileSync} from 'node:fs';
import {join} from 'node:path';

interface Locked {
  version?: string;
  resolved?: string;
  optionalDependencies?: Record<string, string>;
}
const {packages}: {packages: Record<string, Locked>} = JSON.parse(
  readFileSync(join(__dirname, '../package-lock.json'), 'utf8'),
);

test('every optional dependency is locked', () => {
  const missing = Object.entries(packages).flatMap(([path, {optionalDependencies = {}}]) =>
    Object.keys(optionalDependencies).filter(
      (name) => !packages[`node_modules/${name}`] && !packages[`${path}/node_modules/${name}`],
    ),
  );
  expect(missing).toEqual([]);
});

test('no package comes from an address of its own: the registry is whoever installs chooses', () => {
  expect(Object.entries(packages).filter(([, {resolved}]) => resolved !== undefined)).toEqual([]);
});
