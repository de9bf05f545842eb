/**
 * The tensors of a state as TensorFlow.js variables, under their stored names and in their order: parameters in flat tensors where there are any
 * (`flat-parameters.ts`), everything else one by one. Counters of batches stay whole numbers.
 */
import * as tf from '@tensorflow/tfjs-core';
import {float32, int64, type Tensor, toFloat32} from '../../../core/tensor.js';
import {ownTensor, tensor64} from '../../../tfjs/backend/tensor64.js';
import {cut, type Flat, joined, pieceOf, refuseOtherShape, savedTensor} from './flat-parameters.js';
import type {NamedTensors} from './named-tensors.js';

const COUNTER = 'num_batches_tracked';
const BUFFERS = /(^|\.)((tiny_)?running_(mean|var)|num_batches_tracked|weight_orepa_avg_avg|id_tensor|weight_orepa_prior)$/;
/** What is trained: not statistics, and not the constants of OREPA. */
export const isParameter = (key: string): boolean => !BUFFERS.test(key);
const isCounter = (key: string) => key.endsWith(`.${COUNTER}`);

/** Names of variables are global in TensorFlow.js: every store has its own prefix. */
let stores = 0;

export class TensorStore {
  /** Of `flats`, in their order. */
  readonly flatVariables: readonly tf.Variable[];
  private readonly variables = new Map<string, tf.Variable>();
  private readonly counters = new Map<string, number>();
  private readonly order: readonly string[];
  private readonly flatKeys: ReadonlySet<string>;
  /** The parameters in flat tensors, while `withPieces` lasts. */
  private pieces: ReadonlyMap<string, tf.Tensor> | undefined;

  constructor(
    tensors: NamedTensors,
    /** Of which parameters there are flat tensors. */
    readonly flats: readonly Flat[] = [],
  ) {
    const scope = `gpd${stores++}`;
    this.order = [...tensors.keys()];
    this.flatKeys = new Set(flats.flatMap(({pieces}) => pieces.map(({key}) => key)));
    for (const [key, value] of tensors) {
      if (isCounter(key)) this.counters.set(key, Number(value.data[0]));
      else if (!this.flatKeys.has(key)) this.variables.set(key, variableOf(value, isParameter(key), `${scope}/${key}`));
    }
    this.flatVariables = flats.map((flat, i) =>
      tf.tidy(() => tf.variable(own(joined(flat, tensors)), true, `${scope}/flat${i}`)),
    );
  }

  /** A tensor of the state; one that lies in a flat tensor only while `withPieces` lasts. */
  get(key: string): tf.Tensor {
    return this.pieces?.get(key) ?? this.variable(key);
  }
  /** One that has a variable of its own. */
  variable(key: string): tf.Variable {
    const variable = this.variables.get(key);
    if (!variable) throw new Error(`the state has no '${key}'${this.flatKeys.has(key) ? ' outside flat tensors' : ''}`);
    return variable;
  }
  has = (key: string): boolean => this.variables.has(key) || this.flatKeys.has(key);

  /** Calls fn while every parameter can be had as a tensor, each as one. Within tidy(). */
  withPieces<T>(fn: (pieces: ReadonlyMap<string, tf.Tensor>) => T): T {
    const pieces = this.flats.flatMap((flat, i) =>
      flat.pieces.map((p) => [p.key, pieceOf(this.flatVariables[i]!, p)] as const),
    );
    this.pieces = new Map(pieces);
    try {
      return fn(this.pieces);
    } finally {
      this.pieces = undefined;
    }
  }

  /** Names of all variables of their own, in order. */
  get keys(): string[] {
    return [...this.variables.keys()];
  }

  counter = (layer: string): number => this.counters.get(`${layer}.${COUNTER}`) ?? 0;
  setCounter = (layer: string, value: number): void => void this.counters.set(`${layer}.${COUNTER}`, value);
  get counted(): string[] {
    return [...this.counters.keys()].map((key) => key.slice(0, -COUNTER.length - 1));
  }

  /** Replaces all numbers. Names and shapes must be the same. */
  load(tensors: NamedTensors): void {
    for (const key of this.order) {
      const value = savedTensor(tensors, key);
      if (isCounter(key)) this.counters.set(key, Number(value.data[0]));
      else if (this.variables.has(key)) assign(key, this.variable(key), value);
    }
    for (const [i, flat] of this.flats.entries()) {
      const variable = this.flatVariables[i]!;
      tf.tidy(() => variable.assign(own(joined(flat, tensors))));
    }
  }

  /** A copy of everything. */
  async read(): Promise<NamedTensors> {
    const flats = new Map<string, Tensor>();
    for (const [i, flat] of this.flats.entries()) {
      for (const [key, value] of cut(flat, await download(this.flatVariables[i]!))) flats.set(key, value);
    }
    const tensors = new Map<string, Tensor>();
    for (const key of this.order) {
      if (isCounter(key)) tensors.set(key, int64([], [this.counters.get(key)!]));
      else tensors.set(key, flats.get(key) ?? (await download(this.variable(key))));
    }
    return tensors;
  }

  dispose(): void {
    for (const variable of [...this.variables.values(), ...this.flatVariables]) variable.dispose();
    this.variables.clear();
  }
}

function assign(key: string, variable: tf.Variable, value: Tensor): void {
  refuseOtherShape(key, variable.shape, value.shape);
  tf.tidy(() => variable.assign(upload(value)));
}

/** A variable shares the numbers of the tensor that it is made from, which is nobody's afterwards. */
const variableOf = (value: Tensor, trainable: boolean, name: string): tf.Variable =>
  tf.tidy(() => tf.variable(upload(value), trainable, name));

/** Of numbers that were made for it. */
const own = (t: Tensor<'float32' | 'float64'>): tf.Tensor =>
  t.dtype === 'float64' ? upload(t) : ownTensor(t.data as Float32Array, t.shape);

/** The backend may keep the array: it gets its own. */
export const upload = (t: Tensor): tf.Tensor =>
  t.dtype === 'float64'
    ? tensor64(t.data as Float64Array, t.shape)
    : tf.tensor(toFloat32(t).data.slice(), [...t.shape], 'float32');
export const download = async (t: tf.Tensor): Promise<Tensor<'float32'>> =>
  float32(t.shape, Float32Array.from((await t.data()) as Float32Array));
