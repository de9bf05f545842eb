/** The networks of a step as differentiable functions of its variables: student, dynamic teacher, static teacher, feature fusion. */
import * as tf from '@tensorflow/tfjs-core';
import type {Architecture} from '../../../models/layers.js';
import {runNetwork, tapsOf} from '../../../models/taps.js';
import {manifestOf} from '../../../models/walk.js';
import type {ConvModule} from '../../../reparam/modules.js';
import {type GpdForm, type LayerParameters, parametersOf, type Role, type TensorUse} from '../../../reparam/parameters.js';
import type {ConnectorParameters, TapMoment} from '../losses/static-loss.js';
import type {TensorStore} from '../parameters/store.js';
import {batchStatistics, normaliseBatch} from './batch-norm.js';
import {leadingPart, pairParameters} from './orepa-pair.js';
import {updateStatistics} from './statistics.js';
import {type BatchNorm, storedBatchNorm, tfjsLayers} from './tfjs-layers.js';
import {tfjsOps} from './tfjs-ops.js';

export interface Forward {
  /** [N, classes]. */
  readonly logits: tf.Tensor2D;
  /** At each moment that was asked for: maps [N, H, W, C], shallow to deep. */
  readonly features: Readonly<Partial<Record<TapMoment, readonly tf.Tensor[]>>>;
}

/** How batch norms behave: `training` updates the stored statistics, `probing` leaves them. */
export type Mode = 'training' | 'probing' | 'evaluation';

export type Parameters = Record<Role, LayerParameters<tf.Tensor>>;

export interface TrainedNetworkOptions {
  readonly arch: Architecture;
  readonly form: GpdForm;
  readonly imageSize: number;
  readonly store: TensorStore;
  /** Before the network's own names in the store. */
  readonly prefix: string;
  /** When features are taken. Absent: there are none. */
  readonly moments?: ReadonlySet<TapMoment>;
}

export class TrainedNetwork {
  /** Layers, shallow to deep. */
  private readonly taps: readonly (readonly [moment: TapMoment, layers: readonly string[]])[];
  private readonly form: GpdForm;
  /** Of each convolution's result, H·W. */
  private readonly areas: ReadonlyMap<string, number>;

  constructor(private readonly options: TrainedNetworkOptions) {
    const {arch, form, imageSize, moments = []} = options;
    this.form = {...form, unfilledStatistics: new Set()}; // that was when the state was read; see statistics.ts
    this.taps = [...moments].map((moment) => {
      const taps = tapsOf(arch, imageSize, moment === 'afterActivation');
      return [moment, taps.map(({layer}) => layer)];
    });
    this.areas = areasOf(arch, imageSize);
  }

  private readonly load = ({key, leading}: TensorUse): tf.Tensor =>
    leadingPart(this.options.store.get(this.options.prefix + key), leading);

  /** For both passes of one step on so many images: what they share is computed once. */
  pair = (images: number): Parameters =>
    pairParameters(this.form, this.load, ({name}) => images * (this.areas.get(name) ?? Number.POSITIVE_INFINITY));
  /** For one pass. */
  parameters = (role: Role): LayerParameters<tf.Tensor> => parametersOf(tfjsOps, this.form, role, this.load);

  /** `images`: [N, S, S, 3]. */
  forward(images: tf.Tensor, parameters: LayerParameters<tf.Tensor>, mode: Mode): Forward {
    const {arch, imageSize, store, prefix} = this.options;
    const ofBatch: BatchNorm = (x, s, layer) => {
      const batch = batchStatistics(x, layer);
      if (mode === 'training') updateStatistics(store, prefix + layer, parameters.role, batch, parameters.widening);
      return normaliseBatch(x, s.gamma, s.beta, batch, s.eps);
    };
    const layers = tfjsLayers(mode === 'evaluation' ? storedBatchNorm : ofBatch);
    const tapped = new Set(this.taps.flatMap(([, taps]) => taps));
    const seen = new Map<string, tf.Tensor>();
    const logits = runNetwork(arch, layers, parameters, images, imageSize, (layer, {value}) => {
      if (tapped.has(layer)) seen.set(layer, value);
    });
    const features = this.taps.map(([moment, layers]) => [moment, layers.map((layer) => asMap(seen.get(layer)!))]);
    return {logits: logits as tf.Tensor2D, features: Object.fromEntries(features)};
  }
}

function areasOf(arch: Architecture, imageSize: number): Map<string, number> {
  const convolutions = manifestOf(arch, imageSize).records.flatMap(({module, macs}) =>
    module?.kind === 'conv' ? [{module, macs}] : [],
  );
  const perPlace = ({in: input, out, groups, kernel: [height, width]}: ConvModule) => (input / groups) * out * height * width;
  return new Map(convolutions.map(({module, macs}) => [module.name, macs / perPlace(module)]));
}

/** Tokens [N, T, C] as a square map. */
function asMap(feature: tf.Tensor): tf.Tensor {
  if (feature.rank === 4) return feature;
  const side = Math.round(Math.sqrt(feature.shape[1]!));
  return tf.reshape(feature, [-1, side, side, feature.shape[2]!]);
}

/** The modules between features and the static teacher's. `prefix`: `abfs` for the student, `abfs_dual` for the dynamic teacher. */
export function connectorParameters(store: TensorStore, prefix: string, mode: Mode): ConnectorParameters {
  const batchNorm = (x: tf.Tensor, layer: string): tf.Tensor => {
    const batch = batchStatistics(x, layer);
    if (mode === 'training') updateStatistics(store, layer, 'teacher', batch, 1);
    return normaliseBatch(x, store.get(`${layer}.weight`), store.get(`${layer}.bias`), batch, CONNECTOR_EPS);
  };
  return {prefix, weight: (key) => store.get(key), batchNorm};
}
const CONNECTOR_EPS = 1e-5; // PyTorch's default
