/** One side of `bench/train-step.ts`: trains a network on one random batch. */
import * as tf from '@tensorflow/tfjs-core';
import {random} from '../src/core/random.js';
import {Walk} from '../src/models/walk.js';
import {parametersOf, type TensorUse} from '../src/reparam/parameters.js';
import {registerOnnxruntimeBackend} from '../src/tfjs/backend/register.js';
import {jit} from '../src/tfjs/jit/jit.js';
import {tfjsLayers} from '../src/train/step/networks/tfjs-layers.js';
import {tfjsOps} from '../src/train/step/networks/tfjs-ops.js';
import {answerLines} from './step-answers.js';
import {type StepSpec, stepSpecs} from './train-step-networks.js';
import {trainingBatchNorm} from './training-batch-norm.js';

const spec = stepSpecs[process.argv[2]!]!;

/** He et al.'s start for what multiplies, one for scales and variances, zero for what is added. */
function initial({key, leading}: TensorUse): tf.Tensor {
  const shape = [...leading];
  if (shape.length > 1) {
    const fanIn = shape.slice(1).reduce((n, d) => n * d, 1);
    return tf.randomNormal(shape, 0, Math.sqrt(2 / fanIn), 'float32', key.length);
  }
  return /(weight|var)$/.test(key) ? tf.ones(shape) : tf.zeros(shape);
}

function stepOf({arch, shape, batch, classes}: StepSpec) {
  const variables = new Map<string, tf.Variable>();
  const load = (use: TensorUse): tf.Tensor => {
    const known = variables.get(use.key) ?? tf.variable(initial(use), !/running_/.test(use.key), use.key);
    variables.set(use.key, known);
    return known;
  };
  const form = {ratio: 1, orepa: new Set<string>(), present: () => false, unfilledStatistics: new Set<string>()};
  const parameters = parametersOf(tfjsOps, form, 'student', load);
  const forward = (value: tf.Tensor) => {
    const walk = new Walk(arch, tfjsLayers(trainingBatchNorm), parameters);
    return arch.network(walk, {value, shape}).value;
  };
  const optimizer = tf.train.momentum(0.01, 0.9);
  const step = jit((x: tf.Tensor, labels: tf.Tensor) =>
    optimizer.minimize(() => {
      const targets = tf.oneHot(labels as tf.Tensor1D, classes);
      return tf.losses.softmaxCrossEntropy(targets, forward(x)) as tf.Scalar;
    }, true),
  );
  const [first, ...rest] = shape as [number, ...number[]];
  const physical = shape.length === 3 ? [batch, ...rest, first] : [batch, ...shape]; // NHWC, as a loader gives it
  const stream = random('train-step');
  const numbers = {
    images: Float32Array.from({length: physical.reduce((n, d) => n * d, 1)}, () => stream.normal()),
    labels: Int32Array.from({length: batch}, () => stream.integer(classes)),
  };
  tf.dispose(tf.tidy(() => forward(tf.tensor(numbers.images, physical)))); // makes the variables
  return () => {
    const [images, labels] = [tf.tensor(numbers.images, physical), tf.tensor1d(numbers.labels)]; // new ones, as from a loader
    const loss = step(images, labels) as tf.Scalar;
    const [value] = loss.dataSync();
    tf.dispose([images, labels, loss]);
    return value!;
  };
}

await registerOnnxruntimeBackend({threads: 2, smallSteps: 'recorded'});
await answerLines(stepOf(spec));
