// A bill of materials in CycloneDX's JSON form (https://cyclonedx.org/docs/1.6/json/), from package.json and package-lock.json alone:
// `npm run sbom > sbom.json`. What only development needs is left out. The same lock file gives the same bytes.
import {readFileSync} from 'node:fs';

const read = (path) => JSON.parse(readFileSync(new URL(`../${path}`, import.meta.url), 'utf8'));
const {name, version, license, description} = read('package.json');
const {packages} = read('package-lock.json');

const nameOf = (path) => path.replace(/^.*node_modules\//, '');
const purl = (name, version) => `pkg:npm/${name.replace('@', '%40')}@${version}`;
const hex = (integrity) => Buffer.from(integrity.replace(/^sha512-/, ''), 'base64').toString('hex');

/** One place of several where the same version lies. */
const needed = [
  ...new Map(
    Object.entries(packages)
      .filter(([path, {dev}]) => path !== '' && !dev)
      .map((found) => [purl(nameOf(found[0]), found[1].version), found]),
  ).values(),
];

/** Where Node looks: in the package's own node_modules, then in those of the folders above. */
function resolved(from, dependency) {
  for (let folder = from; ; folder = folder.replace(/\/?node_modules\/(?!.*node_modules\/).*$/, '')) {
    const path = `${folder}${folder === '' ? '' : '/'}node_modules/${dependency}`;
    if (packages[path]) return path;
    if (folder === '') return undefined;
  }
}

const references = (path, {dependencies = {}, optionalDependencies = {}}) =>
  Object.keys({...dependencies, ...optionalDependencies})
    .map((dependency) => resolved(path, dependency))
    .filter((found) => found !== undefined)
    .map((found) => purl(nameOf(found), packages[found].version))
    .sort();

const components = needed.map(([path, entry]) => ({
  type: 'library',
  'bom-ref': purl(nameOf(path), entry.version),
  name: nameOf(path),
  version: entry.version,
  scope: entry.optional ? 'optional' : 'required',
  hashes: [{alg: 'SHA-512', content: hex(entry.integrity)}],
  ...(entry.license && {licenses: [{expression: entry.license}]}),
  purl: purl(nameOf(path), entry.version),
}));

const bom = {
  bomFormat: 'CycloneDX',
  specVersion: '1.6',
  version: 1,
  metadata: {
    component: {
      type: 'application',
      'bom-ref': purl(name, version),
      name,
      version,
      description,
      licenses: [{expression: license}],
    },
  },
  components,
  dependencies: [
    {ref: purl(name, version), dependsOn: references('', packages[''])},
    ...needed.map(([path, entry]) => ({ref: purl(nameOf(path), entry.version), dependsOn: references(path, entry)})),
  ],
};
process.stdout.write(`${JSON.stringify(bom, null, 2)}\n`);
