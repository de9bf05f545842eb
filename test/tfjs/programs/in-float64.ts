/** What float32 could not tell, on the current backend. As a program, on TensorFlow.js's cpu code in float64: jest gives its modules arrays of their own. */
import * as tf from '@tensorflow/tfjs-core';
import {selectBackend} from '../../../src/tfjs/backend/select-backend.js';
import {tensor64} from '../../../src/tfjs/backend/tensor64.js';

type Step = () => undefined;

/** A thousand steps of 2⁻³⁰ from 1, counted. `captured` makes the step one graph where the backend has that. */
export async function thousandSteps(captured: (step: Step) => Step = (step) => step): Promise<number> {
  const [x, small] = [tf.variable(tf.scalar(1)), tf.scalar(2 ** -30)];
  const step = captured(() => void tf.tidy(() => x.assign(tf.add(x, small))));
  for (let i = 0; i < 1000; i++) step();
  return (await tf.mul(tf.sub(x, 1), 2 ** 30).data())[0]!;
}

/** How far a constant of the program is from itself. */
export async function constantError(constant: number): Promise<number> {
  const apart = tf.sub(tf.mul(tf.ones([2]), constant), tensor64(Float64Array.of(constant, constant), [2]));
  return Math.abs((await apart.data())[0]!);
}

function waves(shape: number[], seed: number): tf.Tensor {
  const size = shape.reduce((n, d) => n * d, 1);
  return tensor64(
    Float64Array.from({length: size}, (_, i) => Math.sin(seed + 1.7 * i)),
    shape,
  );
}

function loss(x: tf.Tensor, f: tf.Tensor, w: tf.Tensor): tf.Scalar {
  const maps = tf.maxPool(tf.relu(tf.conv2d(x as tf.Tensor4D, f as tf.Tensor4D, 1, 'same')), 2, 2, 'valid');
  return tf.neg(tf.mean(tf.logSoftmax(tf.matMul(tf.reshape(maps, [2, -1]) as tf.Tensor2D, w as tf.Tensor2D))));
}

/** A derivative along a direction through convolution, pool, product and softmax, less the central difference of a step of 2⁻²⁰. */
export async function slopeError(): Promise<number> {
  const [x, f, w, direction] = [
    waves([2, 4, 4, 3], 1),
    waves([3, 3, 3, 5], 2),
    waves([20, 4], 3),
    waves([2, 4, 4, 3], 9),
  ] as const;
  const [slope] = tf.grads(loss)([x, f, w]);
  const step = tensor64(Float64Array.of(2 ** -20), []);
  const at = (sign: number) => loss(tf.add(x, tf.mul(direction, tf.mul(step, sign))), f, w);
  const difference = tf.div(tf.sub(at(1), at(-1)), tf.mul(step, 2));
  return Math.abs((await tf.sub(difference, tf.sum(tf.mul(slope!, direction))).data())[0]!);
}

/** TensorFlow.js finds its own arrays again outside kernels, after one that failed too. */
async function single(): Promise<boolean> {
  const before = Float32Array;
  try {
    tf.engine().runKernel('MatMul', {a: tf.ones([2, 3]), b: tf.ones([2, 3])} as never);
    return false;
  } catch {
    return Float32Array === before && (await tf.tensor([1.5]).data()) instanceof before;
  }
}

async function main(): Promise<void> {
  await selectBackend('cpu', {precision: 'float64'});
  const results = {
    thousandSteps: await thousandSteps(),
    decimal: await constantError(0.9),
    slope: await slopeError(),
    single: await single(),
  };
  console.log(JSON.stringify(results));
}
if (process.argv[2] === 'cpu') void main();
