/**
 * libtensorflow cannot be installed from the npm registry alone, so packages of the same names stand in for it: what they register as
 * `tensorflow` is TensorFlow.js's own cpu backend.
 */
import {mkdirSync, mkdtempSync, rmSync, writeFileSync} from 'node:fs';
import {createRequire} from 'node:module';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import * as tf from '@tensorflow/tfjs-core';
import {GpdError} from '../../src/core/error.js';
import {type NodeHost, selectBackend} from '../../src/tfjs/backend/select-backend.js';

beforeAll(() => tf.env().set('IS_TEST', true)); // TensorFlow.js prints no advice

const folders: string[] = [];
afterAll(() => {
  for (const folder of folders) rmSync(folder, {recursive: true});
});
afterEach(() => {
  if (tf.findBackend('tensorflow')) tf.removeBackend('tensorflow');
});

const registers = `
const tf = require(${JSON.stringify(require.resolve('@tensorflow/tfjs-core'))});
const {MathBackendCPU} = require(${JSON.stringify(require.resolve('@tensorflow/tfjs-backend-cpu'))});
if (!tf.getKernelsForBackend('tensorflow').length)
  for (const config of tf.getKernelsForBackend('cpu')) tf.registerKernel({...config, backendName: 'tensorflow'});
tf.registerBackend('tensorflow', () => new MathBackendCPU(), 3);
`;

/** A machine with these packages, each a version and the program that it runs when it is loaded. */
function hostWith(packages: Record<string, {version?: string; program: string}>, nodeVersion = 'v20.9.0'): NodeHost {
  const folder = mkdtempSync(join(tmpdir(), 'gpd-backend-'));
  folders.push(folder);
  for (const [name, {version = tf.version_core, program}] of Object.entries(packages)) {
    const home = join(folder, 'node_modules', name);
    mkdirSync(home, {recursive: true});
    writeFileSync(join(home, 'package.json'), JSON.stringify({name, version, main: 'index.js'}));
    writeFileSync(join(home, 'index.js'), program);
  }
  const hasOldUtil = Number(nodeVersion.slice(1).split('.')[0]) < 23;
  return {nodeVersion, hasOldUtil, require: createRequire(join(folder, 'index.js'))};
}

/** A gradient: every backend must have them. */
const slope = () => [
  ...tf
    .grad((x) => tf.square(x))(tf.tensor1d([3, -2]))
    .dataSync(),
];

test('native TensorFlow where it is installed, the one for GPUs first', async () => {
  const one = await selectBackend('auto', {}, hostWith({'@tensorflow/tfjs-node': {program: registers}}));
  expect(one).toEqual({name: 'tensorflow', reason: `@tensorflow/tfjs-node ${tf.version_core} is installed`});
  expect([tf.getBackend(), slope()]).toEqual(['tensorflow', [6, -4]]);
  const both = hostWith({'@tensorflow/tfjs-node': {program: ''}, '@tensorflow/tfjs-node-gpu': {program: registers}});
  expect((await selectBackend('tensorflow', {}, both)).reason).toContain('tfjs-node-gpu');
});

test('onnxruntime where it is not, and whatever is installed where it is asked for', async () => {
  expect(await selectBackend('auto', {}, hostWith({}))).toEqual({
    name: 'onnxruntime',
    reason: 'neither @tensorflow/tfjs-node-gpu nor @tensorflow/tfjs-node is installed',
  });
  expect([tf.getBackend(), slope()]).toEqual(['onnxruntime', [6, -4]]);
  const host = hostWith({'@tensorflow/tfjs-node': {program: registers}});
  expect((await selectBackend('onnxruntime', {}, host)).name).toBe('onnxruntime');
  expect((await selectBackend('cpu', {}, host)).name).toBe('cpu');
  expect([tf.getBackend(), slope()]).toEqual(['cpu', [6, -4]]);
});

const broken: [what: string, host: () => NodeHost, why: RegExp, hint: RegExp][] = [
  [
    'another version',
    () => hostWith({'@tensorflow/tfjs-node': {version: '3.21.1', program: registers}}),
    /tfjs-node 3\.21\.1 is installed, and TensorFlow\.js here is 4/,
    /npm install @tensorflow\/tfjs-node@4/,
  ],
  [
    'a Node that it does not run on',
    () => hostWith({'@tensorflow/tfjs-node': {program: registers}}, 'v23.1.0'),
    /does not run on Node v23\.1\.0/,
    /Node 20 or 22/,
  ],
  [
    'no libtensorflow',
    () =>
      hostWith({
        '@tensorflow/tfjs-node': {program: 'throw new Error("The Node.js native addon module can not be found\\nmore")'},
      }),
    /cannot be loaded: The Node\.js native addon module can not be found$/,
    /npm rebuild @tensorflow\/tfjs-node --ignore-scripts=false/,
  ],
  [
    'a package that registers nothing',
    () => hostWith({'@tensorflow/tfjs-node-gpu': {program: ''}}),
    /has been loaded but registers no backend/,
    /npm rebuild/,
  ],
];

test.each(broken)('%s: an error where TensorFlow is asked for, a reason where it is not', async (_, host, why, hint) => {
  const error = await selectBackend('tensorflow', {}, host()).catch((e: unknown) => e);
  expect(error).toBeInstanceOf(GpdError);
  expect(error).toMatchObject({
    code: 'PROVIDER_UNAVAILABLE',
    message: expect.stringMatching(why),
    hint: expect.stringMatching(hint),
  });
  const choice = await selectBackend('auto', {}, host());
  expect(choice).toMatchObject({name: 'onnxruntime', reason: expect.stringMatching(hint)});
});

test('nothing is installed, and TensorFlow is asked for: how to get it', async () => {
  const error = (await selectBackend('tensorflow', {}, hostWith({})).catch((e: unknown) => e)) as GpdError;
  expect([error.code, error.message, error.hint]).toEqual([
    'PROVIDER_UNAVAILABLE',
    expect.stringContaining('neither @tensorflow/tfjs-node-gpu nor @tensorflow/tfjs-node is installed'),
    expect.stringContaining('npm install @tensorflow/tfjs-node@'),
  ]);
});
