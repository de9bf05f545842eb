/** Losses and their gradients against the original's own numbers, in float64. */
import {readFileSync} from 'node:fs';
import * as tf from '@tensorflow/tfjs-core';
import {openCheckpoint} from '../../src/checkpoint/open.js';
import {fileSource} from '../../src/core/bytes.js';
import {type Tensor, toFloat32} from '../../src/core/tensor.js';
import {dkdLoss} from '../../src/train/step/losses/dkd.js';
import {gpdLosses} from '../../src/train/step/losses/gpd-losses.js';
import {crossEntropy, type LogitsTensor} from '../../src/train/step/losses/losses.js';
import {contextLoss, fuse} from '../../src/train/step/losses/review-kd.js';
import {oneHot, targetsOf} from '../../src/train/step/mix.js';
import {batchStatistics, normaliseBatch} from '../../src/train/step/networks/batch-norm.js';
import {expectClose} from '../close.js';
import {describeShared, shared} from '../shared.js';
import {startBackend} from '../tfjs/both.js';

const float32 = {rtol: 1e-5, because: 'float32 against float64'};
const numberOf = (t: tf.Tensor) => t.dataSync()[0]!;
const upload = (t: Tensor) => tf.tensor(toFloat32(t).data, [...t.shape]) as tf.Tensor as LogitsTensor;

/** The tensors and values of one file. */
function reading(name: string) {
  const stored = openCheckpoint(fileSource(shared('goldens/train/losses', `${name}.safetensors`))).stateDict;
  const {values} = JSON.parse(readFileSync(shared('goldens/train/losses', `${name}.json`), 'utf8'));
  const at = (key: string) => upload(stored.get(key)!.read());
  return {at, values, keys: [...stored.keys()], labels: (key: string) => Array.from(at(key).dataSync())};
}
type File = 'cnn' | 'rvt';
type Case = {
  name: string;
  file: File;
  loss: (z: LogitsTensor, at: (part: string) => LogitsTensor, labels: () => number[]) => tf.Tensor;
};

const hot = (labels: number[]) => upload(oneHot(labels, 10));
const smoothed = (labels: number[]) => upload(targetsOf(labels, 10, 0.1, undefined));
const argMax = (t: LogitsTensor) => tf.cast(tf.oneHot(tf.argMax(t, 1) as tf.Tensor1D, 10), 'float32') as LogitsTensor;
function dkdOptions(name: string) {
  const [, alpha, beta, temperature] = /a([\d.]+)_b([\d.]+)_T([\d.]+)/.exec(name)!;
  return {alpha: Number(alpha), beta: Number(beta), temperature: Number(temperature)};
}
const hardDkd = (name: string): Case => ({
  name,
  file: 'cnn',
  loss: (z, at, labels) => dkdLoss(z, at('teacher'), hot(labels()), dkdOptions(name)),
});
const softDkd = (name: string): Case => ({
  name,
  file: 'rvt',
  loss: (z, at) => dkdLoss(z, at('teacher'), argMax(at('target')), dkdOptions(name)),
});
const kd = (kind: string, loss: (z: LogitsTensor, e: LogitsTensor) => tf.Tensor): Case => ({
  name: `kd_${kind}_weight3`,
  file: 'cnn',
  loss: (z, at) => tf.mul(loss(z, at('dynamic_teacher')), 3),
});
const cases: Case[] = [
  {name: 'ce', file: 'cnn', loss: (z, _, labels) => crossEntropy(z, hot(labels()))},
  {name: 'ce_label_smoothing_0.1', file: 'cnn', loss: (z, _, labels) => crossEntropy(z, smoothed(labels()))},
  {name: 'label_smoothing_ce_0.1', file: 'rvt', loss: (z, _, labels) => crossEntropy(z, smoothed(labels()))},
  {name: 'soft_target_ce', file: 'rvt', loss: (z, at) => crossEntropy(z, at('target'))},
  ...['dkd_a1.0_b0.5_T1.0', 'dkd_a1.0_b2.0_T1.0', 'dkd_a1.0_b8.0_T4.0', 'dkd_large_logits_a1.0_b0.5_T1.0'].map(hardDkd),
  ...['dkd_soft_a1.0_b0.5_T1.0', 'dkd_soft_a0.7_b2.0_T1.0'].map(softDkd),
  ...(['mse', 'l1', 'ce', 'sce'] as const).map((kind) => kd(kind, gpdLosses[kind].loss)),
  kd('bce', gpdLosses.bce.reference),
];

describeShared('goldens/train/losses', 'losses of the original', () => {
  beforeAll(startBackend);
  describe.each(['cpu', 'onnxruntime'])('on %s', (backend) => {
    beforeAll(() => tf.setBackend(backend));
    const files: Record<File, ReturnType<typeof reading>> = {cnn: reading('cnn'), rvt: reading('rvt')};
    const {at: cnn, values, keys} = files.cnn;

    test.each(cases)('$name and its gradient', ({name, file, loss}) => {
      const {at, labels, values} = files[file];
      const part = (key: string) => at(`${name}/${key}`);
      const run = (z: tf.Tensor) => loss(z as LogitsTensor, part, () => labels(`${name}/target`)) as tf.Scalar;
      const {value, grad} = tf.valueAndGrad(run)(part('student'));
      expectClose([numberOf(value)], [values[name]], float32);
      expectClose(grad.dataSync(), part('grad_student').dataSync(), float32);
    });

    test.each([0, 1, 2])('soft targets of mixed images %d', (i) => {
      const {at, labels, values} = files.rvt;
      const {lam, smoothing} = values.mixup_target_params[`mixup_target${i}`];
      const got = targetsOf(labels(`mixup_target${i}/target`), 10, smoothing, {kind: 'mixup', lam});
      expectClose(got.data, at(`mixup_target${i}/out`).dataSync(), float32);
    });

    const map = (t: tf.Tensor) => tf.transpose(t, [0, 2, 3, 1]);
    test.each([0, 1, 2, 3, 4, 5])('context loss of level %d and its gradient', (level) => {
      const at = (part: string) => cnn(`hcl_level${level}/${part}`);
      const {value, grad} = tf.valueAndGrad((z) => contextLoss(map(z), map(at('teacher'))))(at('student'));
      expectClose([numberOf(value)], [values[`hcl_level${level}`]], float32);
      expectClose(grad.dataSync(), at('grad_student').dataSync(), float32);
    });

    test.each(['nofuse', 'fuse_1to3', 'fuse_3to7', 'fuse_4to8'])('attention fusion: %s, forward and backward', (which) => {
      const name = `abf_${which}`;
      const stored = keys.filter((key) => key.startsWith(`${name}/grad`)).map((key) => key.slice(name.length + 1));
      const inputs = stored.map((grad) => grad.replace(/^grad\./, 'param.').replace(/^grad_/, ''));
      const loss = (...tensors: tf.Tensor[]) => {
        const of = (key: string) => tensors[inputs.indexOf(key)]!;
        const parameters = {
          weight: (key: string) => of(key.replace(/^abf/, 'param')),
          batchNorm: (x: tf.Tensor, layer: string) => {
            const at = layer.replace(/^abf/, 'param');
            return normaliseBatch(x, of(`${at}.weight`), of(`${at}.bias`), batchStatistics(x, layer), 1e-5);
          },
        };
        const {output, residual} = fuse(parameters, 'abf', map(of('x')), inputs.includes('y') ? map(of('y')) : undefined);
        const weighted = (value: tf.Tensor, by: string) => tf.sum(tf.mul(value, map(cnn(`${name}/${by}`))));
        return tf.add(weighted(output, 'weight_out'), weighted(residual, 'weight_res')) as tf.Scalar;
      };
      const grads = tf.grads(loss)(inputs.map((key) => cnn(`${name}/${key}`)));
      for (const [i, key] of stored.entries()) {
        expectClose(grads[i]!.dataSync(), cnn(`${name}/${key}`).dataSync(), {rtol: 1e-5, because: 'float32 sums'}, key);
      }
    });
  });
});
