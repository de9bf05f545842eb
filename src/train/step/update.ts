/** The second half of a step: from gradients, wherever they come from, to new parameters and their moving averages. */
import * as tf from '@tensorflow/tfjs-core';
import {capture, type TensorFunction} from './capture.js';
import {asReference} from './compat.js';
import {stepScalars, updateParameter} from './parameters/optimizers.js';
import type {TensorStore} from './parameters/store.js';
import type {StepConfig} from './step-config.js';

export interface UpdateStores {
  readonly model: TensorStore;
  /** In the order of `slotNames`. */
  readonly slots: readonly TensorStore[];
  readonly ema: TensorStore | undefined;
}

export interface UpdateInput {
  readonly lr: number;
  /** The factor of all gradients. */
  readonly clip: number;
  /** How many updates there are with this one. */
  readonly step: number;
}

export class UpdateStage {
  private readonly captured = new Map<string, TensorFunction>();

  constructor(
    private readonly config: StepConfig,
    private readonly stores: UpdateStores,
  ) {}

  /** `gradients` are those of the flat tensors. */
  apply(gradients: readonly tf.Tensor[], {lr, clip, step}: UpdateInput): void {
    const numbers = [clip, ...stepScalars(this.config.optimizer, lr, step)].map((value) => tf.scalar(value));
    for (const [i, gradient] of gradients.entries()) {
      const update = this.capturedOnce(`flat ${i}`, ([gradient, clip, ...scalars]) =>
        this.update(i, this.config.clipNorm === undefined ? gradient! : tf.mul(gradient!, clip!), scalars),
      );
      update(gradient, ...numbers);
    }
    tf.dispose(numbers);
    const {model, ema} = this.stores;
    if (!ema) return;
    const others = model.keys.map((key) => [ema.variable(key), model.variable(key)] as const);
    this.capturedOnce('others', () => this.average(others))();
    this.averageCounters(ema);
  }

  private capturedOnce(key: string, fn: (args: readonly tf.Tensor[]) => tf.Tensor[]): TensorFunction {
    const known = this.captured.get(key) ?? capture((...args) => fn(args));
    this.captured.set(key, known);
    return known;
  }

  private update(i: number, gradient: tf.Tensor, scalars: readonly tf.Tensor[]): tf.Tensor[] {
    const {model, slots, ema} = this.stores;
    const variable = model.flatVariables[i]!;
    const own = slots.map((store) => store.flatVariables[i]!);
    const updated = updateParameter(this.config.optimizer, variable, gradient, own, model.flats[i]!.weightDecay, scalars);
    variable.assign(updated.value);
    for (const [j, slot] of own.entries()) slot.assign(updated.slots[j]!);
    return ema ? this.average([[ema.flatVariables[i]!, variable]]) : [];
  }

  /** e ← d·e + (1 − d)·m */
  private average(pairs: readonly (readonly [average: tf.Variable, now: tf.Variable])[]): tf.Tensor[] {
    const {emaDecay: decay = 0} = this.config;
    for (const [average, now] of pairs) average.assign(tf.add(tf.mul(average, decay), tf.mul(now, 1 - decay)));
    return [];
  }

  private averageCounters(ema: TensorStore): void {
    const {emaDecay: decay = 0, compat} = this.config;
    for (const layer of ema.counted) {
      const now = this.stores.model.counter(layer);
      const averaged = Math.trunc(Math.fround(decay * ema.counter(layer) + (1 - decay) * now));
      ema.setCounter(layer, asReference(compat, 'truncatedCounters') ? averaged : now);
    }
  }
}
