/** What a step of Gap Preserving Distillation cannot do without: multiplications, and bytes of the update; and how fast this machine does either, now. */
import type {Architecture, ConvOptions, Layers} from '../src/models/layers.js';
import {SEPARABLE_EXPANSION} from '../src/reparam/algebra.js';

interface Work {
  /** Two a multiplication: both passes three times (forward, gradients of maps and of filters), branch products likewise, the sequential branch's where that is less. */
  readonly flops: number;
  /** Of the update: it reads parameter, gradient, momentum and average, and writes all but the gradient. */
  readonly bytes: number;
}

const STREAMS = 7;
const BYTES = 4;
const TAPS = 9;

export function workOf(arch: Architecture, imageSize: number, batch: number, ratio: number, parameters: number): Work {
  let flops = 0;
  const product = (multiplications: number) => (flops += 2 * 3 * multiplications);
  const widths = (name: string) => [1, ratio].map((r) => (name === arch.first || name === arch.last ? r : r * r));
  const conv = (x: number[], name: string, {out, kernel, stride = 1, pad = 0}: ConvOptions): number[] => {
    const [channels, height, width] = x as [number, number, number];
    const shape = [out, ...[height, width].map((n) => Math.floor((n + 2 * pad - kernel) / stride) + 1)];
    const positions = shape[1]! * shape[2]!;
    for (const w of widths(name)) product(w * batch * positions * out * channels * kernel ** 2);
    if (kernel === 3 && stride === 1 && name !== arch.first) {
      for (const r of [1, ratio]) {
        const [input, output] = [r * channels, r * out];
        const onMaps = batch * positions * (TAPS * input * output + input ** 2);
        product(Math.min(TAPS * input ** 2 * output, onMaps) + TAPS * SEPARABLE_EXPANSION * input * output);
      }
    }
    return shape;
  };
  const layers: Partial<Layers<number[]>> = {
    channels: ([c]) => c!,
    conv,
    batchNorm: (x) => x,
    relu: (x) => x,
    add: (x) => x,
    maxPool: ([c, h, w], _, {kernel, stride, pad}) => [
      c!,
      ...[h!, w!].map((n) => Math.floor((n + 2 * pad - kernel) / stride) + 1),
    ],
    globalAveragePool: ([c]) => [c!, 1, 1],
    flatten: ([c]) => [c!],
    linear([c], name, {out}) {
      for (const w of widths(name)) product(w * batch * out * c!);
      return [out];
    },
  };
  arch.network(layers as Layers<number[]>, [3, imageSize, imageSize]);
  return {flops, bytes: STREAMS * BYTES * parameters};
}

const COPIED = 1 << 24;
const RUNS = 8;

/** Bytes per second read and written by a copy, the fastest of several. */
export function copyMeter(): () => number {
  const [from, to] = [new Float32Array(COPIED).fill(1), new Float32Array(COPIED)];
  const seconds = () => {
    const start = performance.now();
    to.set(from);
    return (performance.now() - start) / 1000;
  };
  return () => (2 * BYTES * COPIED) / Math.min(...Array.from({length: RUNS}, seconds));
}
