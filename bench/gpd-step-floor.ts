/** What a step of Gap Preserving Distillation cannot do without: multiplications, and bytes of the update; and how fast this machine does either, now. */
import * as tf from '@tensorflow/tfjs-core';
import type {Architecture, ConvOptions, Layers} from '../src/models/layers.js';
import {SEPARABLE_EXPANSION} from '../src/reparam/algebra.js';
import {jit} from '../src/tfjs/jit.js';

interface Work {
  /** Two a multiplication: both passes three times (forward, gradients of maps and of filters), branch products likewise. */
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
      for (const r of [1, ratio])
        product(r ** 3 * TAPS * channels ** 2 * out + r ** 2 * TAPS * SEPARABLE_EXPANSION * channels * out);
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

/** The fastest of several runs in seconds. */
function fastest(run: () => void, runs = 8): number {
  const times = Array.from({length: runs}, () => {
    const start = performance.now();
    run();
    return (performance.now() - start) / 1000;
  });
  return Math.min(...times);
}

const SIDE = 1024;
const COPIED = 1 << 24;

/** Floating-point operations a second in a product of matrices, and bytes a second read and written in a copy. */
export function peaks(): {flopsPerSecond: number; bytesPerSecond: number} {
  const [a, b] = [tf.randomUniform([SIDE, SIDE]), tf.randomUniform([SIDE, SIDE])];
  const multiply = jit((x: tf.Tensor, y: tf.Tensor) => tf.matMul(x, y));
  const product = fastest(() => multiply(a, b).dispose());
  const [from, to] = [new Float32Array(COPIED), new Float32Array(COPIED)];
  const copy = fastest(() => to.set(from));
  tf.dispose([a, b]);
  return {flopsPerSecond: (2 * SIDE ** 3) / product, bytesPerSecond: (2 * BYTES * COPIED) / copy};
}
