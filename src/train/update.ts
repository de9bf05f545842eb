/** The second half of a step: from gradients, wherever they come from, to new parameters and their moving averages. */
import * as tf from '@tensorflow/tfjs-core';
import {capture, type TensorFunction} from './capture.js';
import {asReference} from './compat.js';
import {decayGroups, type ParameterInfo} from './decay-groups.js';
import {stepScalars, updateParameter} from './optimizers.js';
import type {StepConfig} from './step-config.js';
import type {TensorStore} from './store.js';

export interface UpdateStores {
  readonly model: TensorStore;
  /** In the order of `slotNames`. */
  readonly slots: readonly TensorStore[];
  readonly ema: TensorStore | undefined;
}

/** Old and new numbers of a parameter exist at once while it is updated: of about this many, not of all. */
const CHUNK = 1 << 23;

/** Parameters in runs of about `CHUNK` numbers. */
function chunksOf(names: readonly string[], store: TensorStore): string[][] {
  const chunks: string[][] = [];
  let room = 0;
  for (const name of names) {
    if (room <= 0) {
      chunks.push([]);
      room = CHUNK;
    }
    chunks.at(-1)!.push(name);
    room -= store.get(name).size;
  }
  return chunks;
}

/** What decay rules ask of a parameter. Only norms have a vector for a weight. */
export function parameterInfos(store: TensorStore): ParameterInfo[] {
  const isNorm = (module: string) => store.has(`${module}.weight`) && store.get(`${module}.weight`).rank === 1;
  return store.parameters.map((key) => ({
    key,
    shape: store.get(key).shape,
    ofNorm: isNorm(key.slice(0, key.lastIndexOf('.'))),
  }));
}

export interface UpdateInput {
  readonly lr: number;
  /** The factor of all gradients. */
  readonly clip: number;
  /** How many updates there are with this one. */
  readonly step: number;
}

export class UpdateStage {
  private readonly weightDecays: ReadonlyMap<string, number>;
  private readonly captured = new Map<string, TensorFunction>();

  constructor(
    private readonly config: StepConfig,
    private readonly stores: UpdateStores,
  ) {
    const groups = decayGroups(parameterInfos(stores.model), config.decay);
    this.weightDecays = new Map(groups.flatMap(({keys, weightDecay}) => keys.map((key) => [key, weightDecay] as const)));
  }

  apply(gradients: ReadonlyMap<string, tf.Tensor>, {lr, clip, step}: UpdateInput): void {
    const numbers = [clip, ...stepScalars(this.config.optimizer, lr, step)].map((value) => tf.scalar(value));
    for (const names of chunksOf([...gradients.keys()], this.stores.model)) {
      const update = this.capturedOnce(names.join(), (...args) => this.updateAll(names, args));
      update(...names.map((name) => gradients.get(name)!), ...numbers);
    }
    tf.dispose(numbers);
    if (!this.stores.ema) return;
    const others = this.stores.model.keys.filter((key) => !gradients.has(key));
    this.capturedOnce('statistics', () => this.averageAll(others))();
    this.averageCounters(this.stores.ema);
  }

  private capturedOnce(key: string, fn: TensorFunction): TensorFunction {
    const known = this.captured.get(key) ?? capture(fn);
    this.captured.set(key, known);
    return known;
  }

  private updateAll(names: readonly string[], args: readonly tf.Tensor[]): tf.Tensor[] {
    const [clip, ...scalars] = args.slice(names.length);
    for (const [i, name] of names.entries()) {
      const gradient = this.config.clipNorm === undefined ? args[i]! : tf.mul(args[i]!, clip!);
      this.updateOne(name, gradient, scalars);
    }
    return this.averageAll(names);
  }

  private updateOne(name: string, gradient: tf.Tensor, scalars: readonly tf.Tensor[]): void {
    const {model, slots} = this.stores;
    const variable = model.get(name);
    const own = slots.map((store) => store.get(name));
    const updated = updateParameter(this.config.optimizer, variable, gradient, own, this.weightDecays.get(name)!, scalars);
    variable.assign(updated.value);
    for (const [i, slot] of own.entries()) slot.assign(updated.slots[i]!);
  }

  /** e ← d·e + (1 − d)·m */
  private averageAll(names: readonly string[]): tf.Tensor[] {
    const {model, ema} = this.stores;
    const decay = this.config.emaDecay;
    if (!ema || decay === undefined) return [];
    for (const name of names) {
      const average = ema.get(name);
      average.assign(tf.add(tf.mul(average, decay), tf.mul(model.get(name), 1 - decay)));
    }
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
