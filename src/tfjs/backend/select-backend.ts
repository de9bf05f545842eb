/**
 * Which TensorFlow.js backend computes. Native TensorFlow where the user has installed it (`@tensorflow/tfjs-node-gpu` or `tfjs-node`:
 * their install scripts download libtensorflow, so they are nobody's dependency), otherwise onnxruntime; `cpu` is TensorFlow.js's own
 * plain JavaScript. Code that trains is the same on each.
 */
import {createRequire} from 'node:module';
import util from 'node:util';
import '@tensorflow/tfjs-layers'; // for Node, TensorFlow.js registers its gradients here and nowhere else
import {findBackend, setBackend, version_core} from '@tensorflow/tfjs-core';
import {trace} from '../../core/debug.js';
import {GpdError} from '../../core/error.js';
import type {BackendOptions} from './backend-options.js';
import {CPU64, registerCpu64Backend} from './cpu64.js';
import {registerOnnxruntimeBackend} from './register.js';

export const backendNames = ['tensorflow', 'onnxruntime', 'cpu'] as const;
export type BackendName = (typeof backendNames)[number];

export interface BackendChoice {
  name: BackendName;
  /** Why this one, for a person. */
  reason: string;
}

/** What is asked of the machine; tests ask of others. */
export interface NodeHost {
  /** As `process.version`. */
  readonly nodeVersion: string;
  /** tfjs-node 4.22 calls util.isNullOrUndefined and util.isArray, which Node 23 took away. */
  readonly hasOldUtil: boolean;
  readonly require: NodeJS.Require;
}

/** Beside a bundle or under a test runner there is no `import.meta`, but then there is `__filename`. */
const thisHost = (): NodeHost => ({
  nodeVersion: process.version,
  hasOldUtil: 'isNullOrUndefined' in util && 'isArray' in util,
  require: createRequire(import.meta.url ?? __filename),
});

/** In the order in which they are tried. */
const nativePackages = ['@tensorflow/tfjs-node-gpu', '@tensorflow/tfjs-node'] as const;

/** The installed version, or undefined. */
function versionOf(name: string, host: NodeHost): string | undefined {
  try {
    return (host.require(`${name}/package.json`) as {version: string}).version;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'MODULE_NOT_FOUND') return undefined;
    throw error;
  }
}

/** Why an installed package cannot be used, with what to do about it; undefined once it has been loaded. */
function loadNative(name: string, version: string, host: NodeHost): {why: string; hint: string; cause?: unknown} | undefined {
  if (version !== version_core) {
    const why = `${name} ${version} is installed, and TensorFlow.js here is ${version_core}: two copies would not know each other's tensors`;
    return {why, hint: `npm install ${name}@${version_core}`};
  }
  if (!host.hasOldUtil) {
    const why = `${name} ${version} does not run on Node ${host.nodeVersion}: it calls functions that Node 23 has removed`;
    return {why, hint: 'use Node 20 or 22, or the backend onnxruntime'};
  }
  try {
    host.require(name);
  } catch (cause) {
    const [line] = (cause as Error).message.split('\n');
    return {why: `${name} ${version} is installed but cannot be loaded: ${line}`, hint: installHint(name), cause};
  }
  if (findBackend('tensorflow')) return undefined;
  return {why: `${name} ${version} has been loaded but registers no backend`, hint: installHint(name)};
}

/** This package's .npmrc turns install scripts off, and other projects do too; tfjs-node is nothing without its own. */
const installHint = (name: string) =>
  `npm rebuild ${name} --ignore-scripts=false, which downloads libtensorflow; or use the backend onnxruntime`;

type Attempt = {found: string} | {failed: {why: string; hint: string; cause?: unknown}[]};

function tryNative(host: NodeHost): Attempt {
  const failed = [];
  for (const name of nativePackages) {
    const version = versionOf(name, host);
    if (version === undefined) continue;
    const failure = loadNative(name, version, host);
    if (!failure) return {found: `${name} ${version}`};
    failed.push(failure);
  }
  return {failed};
}

async function selectTensorflow(host: NodeHost): Promise<BackendChoice> {
  const attempt = tryNative(host);
  if ('failed' in attempt) {
    const why = attempt.failed.map((f) => f.why).join('; ') || `neither ${nativePackages.join(' nor ')} is installed`;
    const hint =
      attempt.failed[0]?.hint ??
      `npm install ${nativePackages[1]}@${version_core} --ignore-scripts=false, or leave --backend out`;
    throw new GpdError('PROVIDER_UNAVAILABLE', `backend 'tensorflow' cannot be used: ${why}`, {
      hint,
      cause: attempt.failed[0]?.cause,
    });
  }
  await setBackend('tensorflow');
  return {name: 'tensorflow', reason: `${attempt.found} is installed`};
}

async function selectOnnxruntime(reason: string, options: BackendOptions): Promise<BackendChoice> {
  await registerOnnxruntimeBackend(options);
  return {name: 'onnxruntime', reason};
}

async function selectAutomatically(host: NodeHost, options: BackendOptions): Promise<BackendChoice> {
  const attempt = tryNative(host);
  if ('found' in attempt) {
    await setBackend('tensorflow');
    return {name: 'tensorflow', reason: `${attempt.found} is installed`};
  }
  const failures = attempt.failed.map(({why, hint}) => `${why} (${hint})`);
  for (const failure of failures) trace('lazy', () => failure);
  return selectOnnxruntime(failures.join('; ') || `neither ${nativePackages.join(' nor ')} is installed`, options);
}

/**
 * Makes a backend the current one, with gradients. `auto` takes what is there and says why; a name that cannot be had is
 * PROVIDER_UNAVAILABLE. `options` are those of onnxruntime; `precision` is also one of the cpu backend.
 */
export async function selectBackend(
  asked: BackendName | 'auto' = 'auto',
  options: BackendOptions = {},
  host: NodeHost = thisHost(),
): Promise<BackendChoice> {
  if (asked === 'auto') return selectAutomatically(host, options);
  if (asked === 'tensorflow') return selectTensorflow(host);
  if (asked === 'onnxruntime') return selectOnnxruntime('it was asked for', options);
  (findBackend('cpu') as unknown as {firstUse: boolean}).firstUse = false; // its advice to install another backend
  if (options.precision === 'float64') registerCpu64Backend();
  await setBackend(options.precision === 'float64' ? CPU64 : 'cpu');
  return {name: 'cpu', reason: 'it was asked for'};
}
