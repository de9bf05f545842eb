// Before all tests: compiles the command line, unless it is newer than its sources. The compiler takes a second.
const {execFileSync} = require('node:child_process');
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
  const run = (...args) => execFileSync(process.execPath, args, {cwd: root, stdio: 'inherit'});
  run(join('node_modules', 'typescript', 'bin', 'tsc'), '-p', 'tsconfig.build.json');
  run(join('scripts', 'manifest.js'));
};
