/** Refusals name what is missing and the command that installs it; options reach the runtime in its own words. */
import {GpdError} from '../../src/core/error.js';
import {float32} from '../../src/core/tensor.js';
import {explainProfile, explainProvider} from '../../src/eval/explain-provider.js';
import {subjectOfModel} from '../../src/eval/subject.js';
import {modelBytes} from '../../src/onnx/encode.js';
import {chooseProvider, type Host, missingFor, providerNames, thisHost} from '../../src/onnx/providers.js';
import {openSession, runtimeOptions} from '../../src/onnx/session.js';
import {tinyNetwork} from './networks.js';

const machine = (host: Partial<Host>): Host => ({
  platform: 'linux-x64',
  packageHas: () => true,
  canLoad: () => true,
  ...host,
});
const refusal = (work: () => unknown): GpdError => {
  try {
    work();
  } catch (error) {
    if (error instanceof GpdError) return error;
    throw error;
  }
  throw new Error('was not refused');
};

describe('which provider', () => {
  test('the first that is there, cpu at last', () => {
    expect(chooseProvider('auto', machine({}))).toMatchObject({name: 'cuda'});
    expect(chooseProvider('auto', machine({platform: 'win32-x64'}))).toMatchObject({name: 'dml'});
    expect(chooseProvider('auto', machine({platform: 'darwin-arm64'}))).toMatchObject({name: 'cpu'});
  });
  test('auto says why not the others', () => {
    const {name, reason} = chooseProvider('auto', machine({canLoad: (l) => l !== 'libcudnn.so.9'}));
    expect(name).toBe('cpu');
    expect(reason).toContain('not cuda, the system has no libcudnn.so.9');
    expect(reason).toContain('not webgpu, it is experimental');
    expect(reason).not.toContain('dml');
  });
  test('a provider that was not fetched: the file, and the command that fetches it', () => {
    const {code, message, hint} = refusal(() => chooseProvider('cuda', machine({packageHas: () => false})));
    expect(code).toBe('PROVIDER_UNAVAILABLE');
    expect(message).toContain('libonnxruntime_providers_cuda.so is not installed');
    expect(hint).toMatch(/^npm rebuild onnxruntime-node .*--onnxruntime-node-install=cuda12/);
  });
  test.each([
    ['libcuda.so.1', 'driver'],
    ['libcublasLt.so.12', 'CUDA 12'],
    ['libcudnn.so.9', 'cuDNN 9'],
  ])('%s is missing', (library, remedy) => {
    const {message, hint} = refusal(() => chooseProvider('cuda', machine({canLoad: (l) => l !== library})));
    expect(message).toContain(`has no ${library}`);
    expect(hint).toContain(remedy);
  });
  test('a provider of another system: what it is for', () => {
    const {message, hint} = refusal(() => chooseProvider('coreml', machine({})));
    expect(message).toContain('darwin-arm64 only, and this is linux-x64');
    expect(hint).toContain('cpu');
  });
  test('this machine: cpu is there, a library that no system has is not', () => {
    expect(missingFor('cpu')).toBeUndefined();
    expect(thisHost.canLoad('libgpd-does-not-exist.so.1')).toBe(false);
    expect(thisHost.packageHas('onnxruntime_binding.node')).toBe(true);
  });
  test('a session with a provider that is missing here is refused before the runtime prints anything', async () => {
    const missing = providerNames.find((name) => missingFor(name));
    if (!missing) return;
    await expect(openSession(modelBytes(tinyNetwork()), {provider: missing})).rejects.toMatchObject({
      code: 'PROVIDER_UNAVAILABLE',
    });
  });
});

describe('options', () => {
  test('device and strictness', () => {
    expect(runtimeOptions({provider: 'cuda', deviceId: 1, strict: true})).toMatchObject({
      executionProviders: [{name: 'cuda', deviceId: 1}],
      extra: {session: {disable_cpu_ep_fallback: '1'}},
    });
  });
  test('the default is the CPU, without a profile', () => {
    const options = runtimeOptions({});
    expect(options.executionProviders).toEqual(['cpu']);
    expect(options).not.toHaveProperty('enableProfiling');
    expect(options.extra).not.toHaveProperty('session.disable_cpu_ep_fallback');
  });
});

describe('who ran each node', () => {
  const event = (node: number, provider: string, operator: string) => ({
    cat: 'Node',
    name: `n${node}_kernel_time`,
    dur: 500,
    args: {op_name: operator, provider, node_index: String(node)},
  });
  test('a profile of two providers: shares, and what was left to the CPU', () => {
    const profile = [
      {cat: 'Session', name: 'model_run', dur: 9, args: {}},
      ...[1, 2, 1].map((n) => event(n, 'CUDAExecutionProvider', 'Conv')),
      event(3, 'CPUExecutionProvider', 'Reshape'),
    ];
    expect(explainProfile(JSON.stringify(profile), 'cuda')).toEqual({
      asked: 'cuda',
      shares: [
        {provider: 'cuda', nodes: 2, ms: 1.5, operators: [{operator: 'Conv', nodes: 2}]},
        {provider: 'cpu', nodes: 1, ms: 0.5, operators: [{operator: 'Reshape', nodes: 1}]},
      ],
      fallback: [{operator: 'Reshape', nodes: 1}],
    });
  });
  test('a real run on the CPU', async () => {
    const subject = subjectOfModel('tiny.pth', 'student', tinyNetwork());
    const explanation = await explainProvider(subject, {}, float32([2, 3, 8, 8], new Float32Array(2 * 3 * 64)));
    expect(explanation.fallback).toEqual([]);
    expect(explanation.shares).toHaveLength(1);
    expect(explanation.shares[0]).toMatchObject({provider: 'cpu'});
    expect(explanation.shares[0]!.nodes).toBeGreaterThan(0);
  });
});
