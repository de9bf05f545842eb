/**
 * What the machine can do at most, by the same runtime, provider and threads: a chain of matrix products. Convolutions cannot exceed
 * it unless the runtime uses an algorithm with fewer multiplications.
 */
import {fillUniform} from '../core/random.js';
import {float32} from '../core/tensor.js';
import {Graph, type Model} from '../onnx/graph.js';
import type {ProviderName} from '../onnx/providers.js';

/** Large enough that packing and scheduling do not count; a device that is fed over a bus needs more. */
const sideFor = (provider: ProviderName): number => (provider === 'cpu' ? 1024 : 4096);
/** In a row, so that input and output weigh less. */
const PRODUCTS = 4;

export interface GemmPeak {
  model: Model;
  input: {name: string; shape: [number, number]};
  /** Multiply-accumulates of one run. */
  macs: number;
}

export function gemmPeak(provider: ProviderName): GemmPeak {
  const n = sideFor(provider);
  const weights = new Float32Array(n * n);
  fillUniform(weights, 'gemm', -Math.sqrt(3 / n), Math.sqrt(3 / n)); // variance 1/n: products keep their size
  const graph = new Graph('gemm_peak');
  const b = graph.initializer('b', float32([n, n], weights));
  let x = graph.input('a', 'float32', [n, n]);
  for (let i = 0; i < PRODUCTS; i++) x = graph.op('MatMul', [x, b], {}, {name: `product${i}`});
  graph.outputs = [x];
  const model = {graph, opset: 13, domains: new Map(), irVersion: 7, producer: {name: 'gpd', version: ''}, metadata: new Map()};
  return {model, input: {name: 'a', shape: [n, n]}, macs: PRODUCTS * n ** 3};
}
