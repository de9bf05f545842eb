/** Kernels of both networks in one go, against the algebra in float64; their gradients against those of the algebra in TensorFlow.js. */
import * as tf from '@tensorflow/tfjs-core';
import {random} from '../../src/core/random.js';
import {float64, leadingBlock as leadingNumbers, type Tensor, toFloat64} from '../../src/core/tensor.js';
import type {ConvModule} from '../../src/reparam/modules.js';
import {type GpdForm, parametersOf, type Role, type TensorUse} from '../../src/reparam/parameters.js';
import {referenceOps} from '../../src/reparam/reference.js';
import {keyOf, storedShape, storedTensors} from '../../src/reparam/stored-tensors.js';
import {leadingPart, pairParameters} from '../../src/train/step/networks/orepa-pair.js';
import {type SequentialKernel, storedBatchNorm, tfjsLayers} from '../../src/train/step/networks/tfjs-layers.js';
import {tfjsOps} from '../../src/train/step/networks/tfjs-ops.js';
import {expectClose} from '../close.js';
import {startBackend} from '../tfjs/both.js';

const conv = (input: number, out: number, groups = 1): ConvModule => ({
  ...{kind: 'conv', name: 'c', in: input, out, kernel: [3, 3], stride: 1, pad: 1, groups, bias: false},
  ...{widensIn: true, widensOut: true},
});

function stored(m: ConvModule, ratio: number): Map<string, Tensor<'float64'>> {
  const r = random(`${m.in} ${m.out} ${m.groups} ${ratio}`);
  return new Map(
    storedTensors(m, {ratio, orepa: true}).map((row) => {
      const shape = storedShape(row, ratio);
      const data = Float64Array.from({length: shape.reduce((n, d) => n * d, 1)}, () => Math.fround(r.normal()));
      return [keyOf(m, row), float64(shape, data)];
    }),
  );
}

const cases: [string, ConvModule, number][] = [
  ['one channel', conv(1, 1), 2],
  ['more outputs than inputs', conv(2, 5), 2],
  ['more inputs than outputs', conv(5, 3), 2],
  ['ratio 3', conv(3, 4), 3],
  ['no widening', conv(3, 4), 1],
  ['depthwise', conv(4, 4, 4), 2],
];
/** Maps of such an area are no place for a branch. */
const never = () => Number.POSITIVE_INFINITY;
const roles: Role[] = ['teacher', 'student'];

beforeAll(startBackend);

describe.each(['cpu', 'onnxruntime'])('on %s', (backend) => {
  beforeAll(() => tf.setBackend(backend));

  test.each(cases)('%s', (_, m, ratio) => {
    const form: GpdForm = {ratio, orepa: new Set(['c']), present: () => true, unfilledStatistics: new Set()};
    const tensors = stored(m, ratio);
    const keys = [...tensors.keys()];
    const uploaded = keys.map((key) => tf.tensor([...tensors.get(key)!.data], [...tensors.get(key)!.shape]));
    const loading = (values: readonly tf.Tensor[]) => (use: TensorUse) =>
      leadingPart(values[keys.indexOf(use.key)]!, use.leading);
    const numbers = ({key, leading}: TensorUse) => toFloat64(leadingNumbers(tensors.get(key)!, leading));

    const pair = pairParameters(form, loading(uploaded), never);
    for (const role of roles) {
      const right = parametersOf(referenceOps, form, role, numbers).conv(m);
      const {weight, bias} = pair[role].conv(m);
      expect(weight.shape).toEqual(right.weight.shape);
      expectClose(weight.dataSync(), right.weight.data, {rtol: 1e-5, because: 'float32 sums'}, `${role} kernel`);
      expectClose(bias!.dataSync(), right.bias!.data, {rtol: 1e-6, because: 'one product'}, `${role} bias`);
    }

    /** Something of both kernels that is not symmetric in them. */
    const mixed = (kernels: tf.Tensor[]) =>
      kernels.map((k, i) => tf.sum(tf.mul(tf.square(k), i + 1))).reduce((a, b) => tf.add(a, b)) as tf.Scalar;
    const bothAtOnce = (...values: tf.Tensor[]) => {
      const {teacher, student} = pairParameters(form, loading(values), never);
      return mixed([teacher, student].map((p) => p.conv(m)).flatMap(({weight, bias}) => [weight, bias!]));
    };
    const oneByOne = (...values: tf.Tensor[]) =>
      mixed(
        roles
          .map((role) => parametersOf(tfjsOps, form, role, loading(values)).conv(m))
          .flatMap(({weight, bias}) => [weight, bias!]),
      );
    const [got, expected] = [tf.grads(bothAtOnce)(uploaded), tf.grads(oneByOne)(uploaded)];
    for (const [i, key] of keys.entries()) {
      expectClose(got[i]!.dataSync(), expected[i]!.dataSync(), {rtol: 2e-5, because: 'float32 sums in another order'}, key);
    }
  });

  test.each(cases.filter(([, {groups}]) => groups === 1))('%s: the sequential branch on the maps', (_, m, ratio) => {
    const form: GpdForm = {ratio, orepa: new Set(['c']), present: () => true, unfilledStatistics: new Set()};
    const tensors = stored(m, ratio);
    const keys = [...tensors.keys()];
    const values = keys.map((key) => tf.tensor([...tensors.get(key)!.data], [...tensors.get(key)!.shape]));
    const {conv} = tfjsLayers(storedBatchNorm);
    const maps = roles.map((role) => tf.randomNormal([2, 4, 3, m.in * (role === 'teacher' ? ratio : 1)], 0, 1, 'float32', 1));
    const outputs = (positions: number, all: readonly tf.Tensor[]) => {
      const load = (use: TensorUse) => leadingPart(all[keys.indexOf(use.key)]!, use.leading);
      const pair = pairParameters(form, load, () => positions);
      const kernels = roles.map((role) => pair[role].conv(m) as SequentialKernel);
      expect(kernels.map(({sequential}) => sequential !== undefined)).toEqual(roles.map(() => positions === 0));
      return kernels.map((kernel, i) => conv(all[keys.length + i]!, kernel, m, 1));
    };
    const inputs = [...values, ...maps];
    const on = (positions: number) => ({
      outputs: outputs(positions, inputs),
      gradients: tf.grads((...all) => tf.addN(outputs(positions, all).map((y, i) => tf.sum(tf.mul(tf.square(y), i + 1)))))(
        inputs,
      ),
    });
    const [got, expected] = [on(0), on(Number.POSITIVE_INFINITY)];
    const tolerance = {rtol: 5e-5, because: 'float32 sums in another order, two in a row'};
    for (const [i, role] of roles.entries()) {
      expectClose(got.outputs[i]!.dataSync(), expected.outputs[i]!.dataSync(), tolerance, role);
    }
    for (const [i, key] of [...keys, 'maps of the teacher', 'maps of the student'].entries()) {
      expectClose(got.gradients[i]!.dataSync(), expected.gradients[i]!.dataSync(), tolerance, key);
    }
  });
});
