/** What comes with the package, and what it asks of the machine it is installed on. */
import {execFileSync} from 'node:child_process';
import {mkdirSync, readdirSync, readFileSync} from 'node:fs';
import {join} from 'node:path';
import {fixture, inFolder} from '../commands/program.js';
import {testWith} from '../optional.js';
import {gpd} from './disturbed.js';

const root = join(__dirname, '../..');
const json = (path: string) => JSON.parse(readFileSync(join(root, path), 'utf8'));
interface Locked {
  integrity?: string;
  hasInstallScript?: boolean;
  dev?: boolean;
}
const locked = Object.entries(json('package-lock.json').packages as Record<string, Locked>).filter(([path]) => path !== '');

test('dependencies are few, and each is one version', () => {
  const {dependencies} = json('package.json') as {dependencies: Record<string, string>};
  expect(Object.keys(dependencies).length).toBeLessThanOrEqual(12);
  for (const [name, version] of Object.entries(dependencies))
    expect([name, version]).toEqual([name, expect.stringMatching(/^\d+\.\d+\.\d+$/)]);
  const reasons = readFileSync(join(root, 'docs/architecture.md'), 'utf8');
  for (const name of Object.keys(dependencies)) expect(reasons).toContain(name.replace('@tensorflow/', ''));
});

test('every package that is needed at run time is locked with its checksum', () => {
  const needed = locked.filter(([, {dev}]) => !dev);
  expect(needed.length).toBeGreaterThan(20);
  for (const [path, {integrity}] of needed) expect([path, integrity]).toEqual([path, expect.stringMatching(/^sha512-/)]);
});

test('no install script is needed', () => {
  expect(readFileSync(join(root, '.npmrc'), 'utf8')).toMatch(/^ignore-scripts=true$/m);
  const withScripts = locked.filter(([, {hasInstallScript, dev}]) => hasInstallScript && !dev).map(([path]) => path);
  expect(withScripts).toEqual(['node_modules/onnxruntime-node']); // it would fetch CUDA libraries; the CPU's are in the package
  expect(json('package.json').scripts).not.toHaveProperty('postinstall');
  expect(json('package.json').scripts).not.toHaveProperty('preinstall');
  expect(json('package.json').scripts).not.toHaveProperty('install');
});

test('the package holds the program, its documents and nothing else', () => {
  const packed = JSON.parse(
    execFileSync('npm', ['pack', '--dry-run', '--json', '--ignore-scripts'], {cwd: root, encoding: 'utf8', stdio: 'pipe'}),
  );
  const [{files}] = packed as [{files: {path: string}[]}];
  const paths = files.map(({path}) => path);
  const expected =
    /^(bin\/[\w-]+\.js|dist\/.+\.(js|js\.map|d\.ts)|docs\/[\w-]+\.(md|svg|png)|oclif\.manifest\.json|package\.json|README\.md|LICENSE|CHANGELOG\.md)$/;
  expect(paths.filter((path) => !expected.test(path))).toEqual([]);
  for (const needed of ['bin/gpd.js', 'dist/index.js', 'docs/security.md', 'LICENSE', 'oclif.manifest.json'])
    expect(paths).toContain(needed);
});

/** Every way into the network of Node, closed: who goes in ends the program. */
const NO_NETWORK = `
import net from 'node:net'; import dns from 'node:dns'; import dgram from 'node:dgram'; import http from 'node:http'; import https from 'node:https'; import tls from 'node:tls';
const closed = (what) => () => { process._rawDebug('network: ' + what); process.exit(99); };
for (const [module, names] of [[net, ['connect', 'createConnection', 'createServer']], [dns, ['lookup', 'resolve']], [dgram, ['createSocket']], [http, ['request', 'get']], [https, ['request', 'get']], [tls, ['connect']]])
  for (const name of names) module[name] = closed(name);
net.Socket.prototype.connect = closed('Socket.connect');
globalThis.fetch = closed('fetch');`;

test('no network at run time: its doors are closed, and nobody notices', () =>
  inFolder(async (cwd) => {
    const args = ['convert', fixture('cifar_resnet20_r2_orepa.pth.tar'), '--output', 'out.onnx'];
    expect(await gpd(args, {cwd, before: NO_NETWORK})).toMatchObject({code: 0, stderr: ''});
    expect(await gpd(['inspect', 'out.onnx'], {cwd, before: NO_NETWORK})).toMatchObject({code: 0, stderr: ''});
  }));

test('the closed doors are noticed', () =>
  inFolder(async (cwd) => {
    const phone = `${NO_NETWORK}\nsyncBuiltinESMExports(); net.connect(1);`;
    expect((await gpd(['--version'], {cwd, before: phone})).code).toBe(99);
  }));

test('no telemetry: onnxruntime keeps no id and no log of ours', () =>
  inFolder(async (cwd) => {
    const home = join(cwd, 'home');
    mkdirSync(home);
    const env = {HOME: home, TMPDIR: home, TEMP: home, TMP: home, LOCALAPPDATA: home, XDG_CACHE_HOME: home};
    const args = ['convert', fixture('cifar_resnet20_plain.pth'), '--output', 'out.onnx'];
    expect((await gpd(args, {cwd, env})).code).toBe(0);
    expect((await gpd(['verify', 'out.onnx', 'out.onnx', '--samples', '2'], {cwd, env})).code).toBe(0);
    expect((await gpd(['bench', 'out.onnx', '--rounds', '2', '--round-ms', '1'], {cwd, env})).code).toBe(0);
    expect(readdirSync(home)).toEqual([]);
  }));

testWith('a network namespace', 'no network at run time: there is none', () =>
  inFolder(async (cwd) => {
    const args = ['convert', fixture('cifar_resnet20_plain.pth'), '--output', 'out.onnx'];
    expect(await gpd(args, {cwd, through: ['unshare', '-rn']})).toMatchObject({code: 0});
  }),
);
