// Before all tests: compiles the command line, unless it is newer than its sources. The compiler takes a second.
const {execFileSync, spawnSync} = require('node:child_process');
const {existsSync, readdirSync, statSync} = require('node:fs');
const {join} = require('node:path');

const root = join(__dirname, '../..');
const made = join(root, 'oclif.manifest.json');

function newest(folder) {
  const entries = readdirSync(folder, {recursive: true, withFileTypes: true});
  return Math.max(...entries.map((entry) => statSync(join(entry.parentPath, entry.name)).mtimeMs));
}

module.exports = () => {
  if (existsSync(made) && statSync(made).mtimeMs > Math.max(newest(join(root, 'src')), newest(join(root, 'scripts')))) return;
  // Type errors are `npm run types`' to report: the compiler emits all the same.
  spawnSync(process.execPath, [join('node_modules', 'typescript', 'bin', 'tsc'), '-p', 'tsconfig.build.json'], {cwd: root});
  execFileSync(process.execPath, [join('scripts', 'manifest.js')], {cwd: root, stdio: 'inherit'});
};
