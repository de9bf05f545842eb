/** What a step that is captured cannot be or do, and what to do instead. */
import type {Tensor} from '@tensorflow/tfjs-core';
import {GpdError} from '../../core/error.js';
import {BACKEND_NAME} from '../backend/backend.js';
import {typeText} from '../lowering/describe.js';

const refuse = (message: string, hint: string) => new GpdError('ENGINE_FAILED', `jit: ${message}`, {hint});

export const wrongBackend = (current: string): GpdError =>
  refuse(
    `the backend '${BACKEND_NAME}' is needed, and the current one is '${current}'`,
    'await registerOnnxruntimeBackend() first',
  );

export const disposedArgument = (index: number, t: Tensor): GpdError =>
  refuse(`argument ${index}, ${typeText(t)}, is disposed`, 'keep() it, or dispose of it after the step');

/** Two inputs that are one array while recording could be two in a replay. */
export const sharedData = (a: string, b: string): GpdError =>
  refuse(`${a} and ${b} share their data`, 'give one of them data of its own, for example with tf.add(x, 0)');

export const madeVariable = (name: string): GpdError =>
  refuse(
    `the function made the variable '${name}' in a call that is recorded`,
    'make variables before, or in the first call alone',
  );

export const changedVariable = (name: string, recorded: {dtype: string; shape: readonly number[]}, now: Tensor): GpdError =>
  refuse(
    `the variable '${name}' was ${typeText(recorded)} when the step was recorded, and is ${typeText(now)}`,
    'make a new jit of the function when the network changes',
  );

/** Each has a graph, a session and its memory: a step that is called with ever new shapes would be slower than without jit. */
export const MAX_SIGNATURES = 16;

export const tooManyShapes = (args: readonly Tensor[], known: readonly string[]): GpdError =>
  refuse(
    `the step has been recorded for ${known.length} sets of shapes, and is called with another: (${args.map(typeText).join(', ')}); ` +
      `the last were (${known.slice(-3).join('), (')})`,
    'pad batches to one size, drop the last one that is smaller, or make a jit for each purpose',
  );
