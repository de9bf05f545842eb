/** A program of its own: one session in one process, so that models share neither memory, threads nor caches. */
import {float32ToHalf} from '../core/half.js';
import {fillUniform, random} from '../core/random.js';
import {elementCount, float32, type Tensor, tensor} from '../core/tensor.js';
import type {ProviderName} from '../onnx/providers.js';
import {openSession, preloadRuntime, type Session} from '../onnx/session.js';
import type {ChildTask, Order, Report, RoundOrder} from './bench-protocol.js';
import {guard, supervisedBy} from './guard.js';

let session: Session | undefined;
let inputs = new Map<string, Tensor>();

function inputOf({input: {name, dtype, shape}}: ChildTask): Map<string, Tensor> {
  if (dtype === 'uint8') return new Map([[name, tensor('uint8', shape, bytes(elementCount(shape)))]]);
  const data = new Float32Array(elementCount(shape));
  fillUniform(data, 'bench', -1.7, 1.7);
  const value =
    dtype === 'float16' ? tensor('float16', shape, float32ToHalf(data) as Uint16Array<ArrayBuffer>) : float32(shape, data);
  return new Map([[name, value]]);
}

function bytes(count: number): Uint8Array<ArrayBuffer> {
  const {integer} = random('bench');
  return Uint8Array.from({length: count}, () => integer(256));
}

/** Loaded for this alone: what a model's process holds before the model is part of the result. */
async function matrixProducts(provider: ProviderName): Promise<Uint8Array> {
  const [{gemmPeak}, {modelBytes}] = await Promise.all([import('./gemm.js'), import('../onnx/encode.js')]);
  return modelBytes(gemmPeak(provider).model);
}

async function open(task: ChildTask): Promise<Report> {
  guard(task.memoryLimit);
  await preloadRuntime(); // the library's own loading is not the model's
  const bytesBefore = process.memoryUsage().rss;
  const start = performance.now();
  const {path, provider, deviceId, threads} = task;
  const model = path ?? (await matrixProducts(provider));
  session = await openSession(model, {provider, deviceId, threads, file: path ?? undefined});
  const loadMs = performance.now() - start;
  inputs = inputOf(task);
  return {opened: {loadMs, bytesBefore}};
}

async function round({ms, minRuns}: RoundOrder): Promise<Report> {
  const latencies: number[] = [];
  const end = performance.now() + ms;
  while (latencies.length < minRuns || performance.now() < end) {
    const start = performance.now();
    await session!.run(inputs);
    latencies.push(performance.now() - start);
  }
  return {latencies};
}

async function close(): Promise<Report> {
  await session?.close();
  return {closed: {peakBytes: process.resourceUsage().maxRSS * 1024}};
}

const obey = (order: Order): Promise<Report> =>
  'open' in order ? open(order.open) : 'round' in order ? round(order.round) : close();

process.on('message', async (order: Order) => {
  try {
    process.send!(await obey(order));
  } catch (error) {
    const {message, code, hint} = error as Error & {code?: string; hint?: string};
    process.send!({failed: {message, code, hint}} satisfies Report);
  }
});
supervisedBy(Number(process.argv[2]));
process.on('disconnect', () => process.exit()); // the parent is gone
