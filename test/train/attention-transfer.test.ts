/** Attention transfer against its definition by loops over arrays, and against mdistiller's own numbers, all in float64. */
import {readFileSync} from 'node:fs';
import * as tf from '@tensorflow/tfjs-core';
import {openCheckpoint} from '../../src/checkpoint/open.js';
import {fileSource} from '../../src/core/bytes.js';
import {random} from '../../src/core/random.js';
import {archs} from '../../src/models/families/index.js';
import type {Architecture} from '../../src/models/layers.js';
import {selectBackend} from '../../src/tfjs/backend/select-backend.js';
import {attentionDistance, attentionTransfer} from '../../src/train/step/losses/attention-transfer.js';
import type {ConnectorParameters, Seen} from '../../src/train/step/losses/static-loss.js';
import {expectClose} from '../close.js';
import {describeShared, shared} from '../shared.js';

type Map4 = number[][][][]; // [N][H][W][C]

function randomMap(seed: number, [batch, side, channels]: readonly [number, number, number]): Map4 {
  const r = random(seed);
  const times = <T>(n: number, make: () => T) => Array.from({length: n}, make);
  return times(batch, () => times(side, () => times(side, () => times(channels, () => r.normal()))));
}

const sum = (values: readonly number[]) => values.reduce((a, b) => a + b, 0);

/** PyTorch's adaptive average: of the pixels from ⌊i·n/l⌋ to ⌈(i+1)·n/l⌉. */
function pooled(map: Map4, to: number): Map4 {
  const from = map[0]!.length;
  const window = (i: number) => {
    const [start, end] = [Math.floor((i * from) / to), Math.ceil(((i + 1) * from) / to)];
    return Array.from({length: end - start}, (_, j) => start + j);
  };
  const cells = Array.from({length: to}, (_, i) => i);
  return map.map((image) =>
    cells.map((y) =>
      cells.map((x) =>
        image[0]![0]!.map((_, c) => {
          const values = window(y).flatMap((h) => window(x).map((w) => image[h]![w]![c]!));
          return sum(values) / values.length;
        }),
      ),
    ),
  );
}

function attentionOf(map: Map4): number[] {
  return map.flatMap((image) => {
    const strength = image.flatMap((row) => row.map((pixel) => sum(pixel.map((v) => v * v)) / pixel.length));
    const length = Math.max(Math.sqrt(sum(strength.map((v) => v * v))), 1e-12);
    return strength.map((v) => v / length);
  });
}

function distance(student: Map4, teacher: Map4): number {
  const side = Math.min(student[0]!.length, teacher[0]!.length);
  const [own, theirs] = [attentionOf(pooled(student, side)), attentionOf(pooled(teacher, side))];
  return sum(own.map((v, i) => (v - theirs[i]!) ** 2)) / own.length;
}

const asRead = {rtol: 1e-6, because: 'computed in float64, read as float32'};
const numberOf = (t: tf.Tensor) => t.dataSync()[0]!;
const noConnectors: ConnectorParameters = {
  prefix: '',
  weight: () => {
    throw new Error('attention transfer has none');
  },
  batchNorm: (x) => x,
};

/** The loss over the features of two networks. */
function lossOf(student: readonly tf.Tensor[], teacher: readonly tf.Tensor[], weight: number): tf.Scalar {
  const logits = tf.zeros([student[0]!.shape[0]!, 2]) as tf.Tensor2D;
  const seen = (features: readonly tf.Tensor[]): Seen => ({logits, features});
  const input = {student: seen(student), teacher: seen(teacher), targets: logits, connectors: noConnectors};
  return attentionTransfer.loss(input, {'at-weight': weight});
}

beforeAll(() => selectBackend('onnxruntime', {precision: 'float64'}));

test.each([
  ['maps of one size', [2, 5, 3], [2, 5, 7]],
  ['a larger map of the student', [2, 7, 3], [2, 4, 2]],
  ['a larger map of the teacher', [3, 4, 2], [3, 6, 5]],
] as const)('the loss by loops: %s', (_, student, teacher) => {
  const [own, theirs] = [randomMap(1, student), randomMap(2, teacher)];
  expectClose([numberOf(attentionDistance(tf.tensor(own), tf.tensor(theirs)))], [distance(own, theirs)], asRead);
});

test('its gradient by central differences of the loops', () => {
  const [own, theirs] = [randomMap(3, [2, 4, 3]), randomMap(4, [2, 3, 2])];
  const gradient = tf
    .grad((x) => attentionDistance(x, tf.tensor(theirs)))(tf.tensor(own))
    .arraySync() as Map4;
  const step = 1e-5;
  for (const [n, y, x, c] of [
    [0, 0, 0, 0],
    [1, 3, 2, 1],
    [0, 2, 3, 2],
  ] as const) {
    const moved = (by: number) => {
      const copy = structuredClone(own);
      copy[n]![y]![x]![c]! += by;
      return distance(copy, theirs);
    };
    const slope = (moved(step) - moved(-step)) / (2 * step);
    expectClose([gradient[n]![y]![x]![c]!], [slope], {rtol: 1e-5, atol: 1e-9, because: 'a central difference'});
  }
});

test('stages are added; pooled vectors and a network of zeros have nothing to say', () => {
  const maps = [randomMap(5, [2, 4, 3]), randomMap(6, [2, 2, 4])];
  const others = [randomMap(7, [2, 4, 2]), randomMap(8, [2, 2, 5])];
  const vector = tf.ones([2, 1, 1, 6]);
  const value = lossOf([...maps.map((m) => tf.tensor(m)), vector], [...others.map((m) => tf.tensor(m)), vector], 50);
  expectClose([numberOf(value)], [50 * sum(maps.map((m, i) => distance(m, others[i]!)))], asRead);
  const zero = tf.zeros([2, 4, 4, 3]);
  const atZero = tf.grad((x) => attentionDistance(x, tf.tensor(others[0]!)))(zero);
  expect(Array.from(atZero.dataSync()).every((v) => v === 0)).toBe(true);
});

test('networks without as many stages, or with single pixels alone, are refused with their maps', () => {
  const prepare = (student: Architecture, teacher: Architecture, imageSize: number) => () =>
    attentionTransfer.prepare?.(student, teacher, imageSize);
  const [small, large] = [archs['cifar-resnet20'].build(10), archs.resnet18.build(10)];
  expect(prepare(small, archs['cifar-resnet56'].build(10), 32)()).toBeUndefined();
  const sides = 'resnet18 has maps of 8, 4, 2, 1, 1 pixels a side, cifar-resnet20 of 32, 16, 8, 1';
  expect(prepare(large, small, 32)).toThrow(`attention transfer compares maps stage by stage: ${sides}`);
  expect(prepare(small, small, 1)).toThrow('cifar-resnet20 has maps of 1, 1, 1, 1 pixels a side');
});

describeShared('goldens/kd/losses', 'as mdistiller has it', () => {
  test('the loss, and its gradient by every map of the student', () => {
    const stored = openCheckpoint(fileSource(shared('goldens/kd/losses', 'at.safetensors'))).stateDict;
    const {loss, gradients} = JSON.parse(readFileSync(shared('goldens/kd/losses', 'at.json'), 'utf8'));
    const map = (key: string) => {
      const {shape, data} = stored.get(key)!.read();
      return tf.transpose(tf.tensor(Float32Array.from(data as Float32Array), [...shape]), [0, 2, 3, 1]);
    };
    const teacher = [0, 1, 2].map((i) => map(`teacher.${i}`));
    const own = (gradients as string[]).map(map);
    expectClose([numberOf(lossOf(own, teacher, 1))], [loss], asRead);
    const grads = tf.grads((...maps: tf.Tensor[]) => lossOf(maps, teacher, 1))(own);
    for (const [i, key] of (gradients as string[]).entries()) {
      const expected = stored.get(`grad.${key}`)!.read().data as Float64Array;
      const largest = expected.reduce((most, v) => Math.max(most, Math.abs(v)), 0);
      const got = tf.transpose(grads[i]!, [0, 3, 1, 2]).dataSync();
      expectClose(got, expected, {rtol: 1e-6, atol: 1e-7 * largest, because: 'computed in float64, read as float32'}, key);
    }
  });
});
