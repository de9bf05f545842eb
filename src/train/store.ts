/** The tensors of a state as TensorFlow.js variables, under their stored names and in their order; counters of batches stay whole numbers. */
import * as tf from '@tensorflow/tfjs-core';
import {GpdError} from '../core/error.js';
import {float32, formatShape, int64, sameShape, type Tensor, toFloat32} from '../core/tensor.js';
import {tensor64} from '../tfjs/tensor64.js';
import {setLayout} from '../tfjs/variable-layouts.js';
import type {NamedTensors} from './step-config.js';

const COUNTER = 'num_batches_tracked';
const BUFFERS = /(^|\.)((tiny_)?running_(mean|var)|num_batches_tracked|weight_orepa_avg_avg|id_tensor|weight_orepa_prior)$/;
/** What is trained: not statistics, and not the constants of OREPA. */
export const isParameter = (key: string): boolean => !BUFFERS.test(key);
const isCounter = (key: string) => key.endsWith(`.${COUNTER}`);

/** Names of variables are global in TensorFlow.js: every store has its own prefix. */
let stores = 0;

export class TensorStore {
  private readonly variables = new Map<string, tf.Variable>();
  private readonly counters = new Map<string, number>();
  private readonly order: readonly string[];

  constructor(tensors: NamedTensors) {
    const scope = `gpd${stores++}`;
    this.order = [...tensors.keys()];
    for (const [key, value] of tensors) {
      if (isCounter(key)) this.counters.set(key, Number(value.data[0]));
      else this.variables.set(key, variableOf(value, isParameter(key), `${scope}/${key}`));
    }
  }

  get(key: string): tf.Variable {
    const variable = this.variables.get(key);
    if (!variable) throw new Error(`the state has no '${key}'`);
    return variable;
  }
  has = (key: string): boolean => this.variables.has(key);
  /** Names of all variables, in order. */
  get keys(): string[] {
    return [...this.variables.keys()];
  }
  get parameters(): string[] {
    return this.keys.filter(isParameter);
  }

  counter = (layer: string): number => this.counters.get(`${layer}.${COUNTER}`) ?? 0;
  setCounter = (layer: string, value: number): void => void this.counters.set(`${layer}.${COUNTER}`, value);
  get counted(): string[] {
    return [...this.counters.keys()].map((key) => key.slice(0, -COUNTER.length - 1));
  }

  /** Replaces all numbers. Names and shapes must be the same. */
  load(tensors: NamedTensors): void {
    for (const key of this.order) {
      const value = tensors.get(key);
      if (!value) throw new GpdError('STATE_MISMATCH', `the saved state has no '${key}', which the run needs`, {at: key});
      if (isCounter(key)) this.counters.set(key, Number(value.data[0]));
      else this.assign(key, value);
    }
  }

  private assign(key: string, value: Tensor): void {
    const variable = this.get(key);
    if (!sameShape(variable.shape, value.shape)) {
      throw new GpdError(
        'STATE_MISMATCH',
        `'${key}' is ${formatShape(value.shape)} in the saved state, ${formatShape(variable.shape)} in the run`,
        {at: key, hint: 'resume with the settings that the run was started with'},
      );
    }
    tf.tidy(() => variable.assign(upload(value)));
    settle(variable);
  }

  /** A copy of everything. */
  async read(): Promise<NamedTensors> {
    const tensors = new Map<string, Tensor>();
    for (const key of this.order) {
      if (isCounter(key)) tensors.set(key, int64([], [this.counters.get(key)!]));
      else tensors.set(key, await download(this.get(key)));
    }
    return tensors;
  }

  dispose(): void {
    for (const variable of this.variables.values()) variable.dispose();
    this.variables.clear();
  }
}

/** A variable shares the numbers of the tensor that it is made from, which is nobody's afterwards. */
function variableOf(value: Tensor, trainable: boolean, name: string): tf.Variable {
  const variable = tf.tidy(() => tf.variable(upload(value), trainable, name));
  settle(variable);
  return variable;
}

/**
 * Filters [O, I, H, W] lie as [H, W, I, O] from the first step on, the order in which their gradients come: nothing large is transposed, and a
 * run that goes on finds them as the one that was interrupted left them. Depthwise ones have one number a place, and stay.
 */
function settle(variable: tf.Variable): void {
  if (variable.rank === 4 && variable.shape[1]! > 1) setLayout(variable, [2, 3, 1, 0]);
}

/** The backend may keep the array: it gets its own. */
export const upload = (t: Tensor): tf.Tensor =>
  t.dtype === 'float64'
    ? tensor64(t.data as Float64Array, t.shape)
    : tf.tensor(toFloat32(t).data.slice(), [...t.shape], 'float32');
export const download = async (t: tf.Tensor): Promise<Tensor<'float32'>> =>
  float32(t.shape, Float32Array.from((await t.data()) as Float32Array));
