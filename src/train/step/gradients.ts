/**
 * The first half of a step: from a batch to losses and gradients. It changes statistics and nothing else; between it and the update
 * (update.ts) gradients may be averaged over machines.
 */
import * as tf from '@tensorflow/tfjs-core';
import {asReference} from './compat.js';
import {dkdLoss} from './losses/dkd.js';
import {accuracies, crossEntropy, kdLosses} from './losses/losses.js';
import {reviewKdLoss} from './losses/review-kd.js';
import {type Forward, fuseFeatures, type Mode, Network, type Parameters} from './networks/networks.js';
import {fillStatistics} from './networks/statistics.js';
import {flatten, globalNorm} from './parameters/flat-parameters.js';
import type {TensorStore} from './parameters/store.js';
import type {StepConfig, StepMetrics} from './step-config.js';

export type Metric = Exclude<keyof StepMetrics, 'applied' | 'grad_norm' | 'clip_coef'>;
export type Scalars = Map<Metric, tf.Scalar>;
type Who = 'expanded' | 'tiny';
type Pieces = ReadonlyMap<string, tf.Tensor>;

/** The tensors of one batch. */
export interface StepTensors {
  /** [N, 3, S, S]. */
  readonly images: tf.Tensor;
  /** Distributions, [N, C]. */
  readonly targets: tf.Tensor2D;
  /** Of the labels, which mixing does not change: [N, C]. */
  readonly oneHot: tf.Tensor2D;
  readonly kdWeight: tf.Tensor;
  /** [S, S]; absent where images are not mixed. */
  readonly mixWeights?: tf.Tensor | undefined;
}

export interface Gradients {
  readonly scalars: Scalars;
  /** Of the store's flat tensors. */
  readonly gradients: readonly tf.Tensor[];
}

/** No gradient flows through it. TensorFlow.js has no operation of this name. */
const withoutGradient = <T extends tf.Tensor>(x: T): T =>
  tf.customGrad((t) => ({value: tf.clone(t as tf.Tensor), gradFunc: (dy: tf.Tensor) => tf.zerosLike(dy)}))(x) as T;

/** NHWC, and mixed with the batch in reverse order. */
function prepare({images, mixWeights}: StepTensors): tf.Tensor {
  const x = tf.transpose(images, [0, 2, 3, 1]);
  if (!mixWeights) return x;
  const own = tf.reshape(mixWeights, [1, ...mixWeights.shape, 1]);
  return tf.add(tf.mul(x, own), tf.mul(tf.reverse(x, 0), tf.sub(1, own)));
}

export class GradientStage {
  private readonly network: Network;
  private readonly teacher: Network | undefined;

  constructor(
    private readonly config: StepConfig,
    private readonly store: TensorStore,
    private readonly teacherStore: TensorStore | undefined,
  ) {
    const {arch, form, imageSize, staticTeacher} = config;
    const moment = asReference(config.compat, 'activatedFeatures') ? 'afterActivation' : 'beforeActivation';
    const features = staticTeacher?.reviewKd ? moment : 'none';
    this.network = new Network({arch, form, imageSize, store, prefix: networkPrefix(config), features});
    if (staticTeacher && teacherStore) {
      const {arch, form} = staticTeacher;
      this.teacher = new Network({arch, form, imageSize, store: teacherStore, prefix: '', features});
    }
  }

  compute(step: StepTensors): Gradients {
    return this.store.withPieces((pieces) => this.computeFor(step, pieces));
  }

  private computeFor(step: StepTensors, pieces: Pieces): Gradients {
    const scalars: Scalars = new Map();
    const images = prepare(step);
    const taught = this.teachingOf(images);
    const run = (mode: Mode, who: readonly Who[]) => this.losses({...step, images}, taught, mode, who, scalars);
    if (this.config.expandedNorm && this.config.gpd) {
      const alone = this.gradientsOf(() => run('probing', ['expanded']), pieces);
      scalars.set('grad_norm_after_expanded_backward', globalNorm(alone));
      tf.dispose(alone);
    }
    const who = this.config.gpd ? (['expanded', 'tiny'] as const) : (['expanded'] as const);
    return {scalars, gradients: this.gradientsOf(() => run('training', who), pieces)};
  }

  /** Of the flat tensors. */
  private gradientsOf(loss: () => tf.Scalar, pieces: Pieces): tf.Tensor[] {
    const {value, grads} = tf.engine().gradients(loss, [...pieces.values()], undefined, true);
    value.dispose();
    const named = new Map([...pieces.keys()].map((key, i) => [key, grads[i]]));
    return this.store.flats.map((flat) => flatten(flat, (key) => named.get(key)));
  }

  private teachingOf(images: tf.Tensor): Forward | undefined {
    const mode = asReference(this.config.compat, 'teacherBatchStatistics') ? 'training' : 'evaluation';
    const {teacher, teacherStore} = this;
    return teacher && teacherStore?.withPieces(() => teacher.forward(images, teacher.parameters('student'), mode));
  }

  /** The sum that is differentiated. */
  private losses(step: StepTensors, taught: Forward | undefined, mode: Mode, who: readonly Who[], scalars: Scalars): tf.Scalar {
    const {gpd, compat} = this.config;
    const note = (name: Metric, value: tf.Scalar) => void (mode === 'training' && scalars.set(name, tf.keep(tf.clone(value))));
    if (!gpd) return this.baseline(step, taught, mode, note);
    const parameters: Parameters = this.network.pair(step.images.shape[0]!);
    const pass = (name: Who) => {
      if (mode === 'training' && asReference(compat, 'copiedStatistics')) fillStatistics(this.store);
      return this.network.forward(step.images, parameters[name === 'tiny' ? 'student' : 'teacher'], mode);
    };
    const expanded = pass('expanded');
    const helped = gpd.staticTeacherForExpanded ?? true;
    const own = this.classification('expanded', expanded, step, helped ? taught : undefined, mode, note);
    const weighted = tf.mul(own, gpd.expandedLossWeight ?? 1) as tf.Scalar;
    note('loss_expanded', weighted);
    if (!who.includes('tiny')) return weighted;
    const tiny = pass('tiny');
    const learnt = this.classification('tiny', tiny, step, taught, mode, note);
    note('loss_tiny', learnt);
    const kind = gpd.kd.kind === 'bce' && asReference(compat, 'logitsAsTargets') ? 'bceOfLogits' : gpd.kd.kind;
    const kd = tf.mul(kdLosses[kind](tiny.logits, withoutGradient(expanded.logits)), step.kdWeight) as tf.Scalar;
    note('kd_loss', kd);
    const total = tf.add(learnt, kd) as tf.Scalar;
    note('total_loss', total);
    return gpd.freezeExpanded ? total : tf.add(weighted, total);
  }

  private baseline(
    step: StepTensors,
    taught: Forward | undefined,
    mode: Mode,
    note: (name: Metric, value: tf.Scalar) => void,
  ): tf.Scalar {
    const only = this.network.forward(step.images, this.network.pair(step.images.shape[0]!).student, mode);
    const loss = this.classification('expanded', only, step, taught, mode, note);
    note('loss_expanded', loss);
    note('total_loss', loss);
    return loss;
  }

  /** Cross-entropy, and what the static teacher adds. */
  private classification(
    who: Who,
    {logits, features}: Forward,
    {targets, oneHot}: StepTensors,
    taught: Forward | undefined,
    mode: Mode,
    note: (name: Metric, value: tf.Scalar) => void,
  ): tf.Scalar {
    const {dkd, reviewKd} = this.config.staticTeacher ?? {};
    const entropy = crossEntropy(logits, targets);
    const terms = [entropy];
    note(`ce_${who}`, entropy);
    if (taught && reviewKd) {
      const prefix = who === 'expanded' && this.config.gpd ? 'abfs_dual' : 'abfs';
      const fused = fuseFeatures(this.store, prefix, features, mode);
      const loss = tf.mul(reviewKdLoss(fused, taught.features), reviewKd.weight) as tf.Scalar;
      note(`reviewkd_${who}`, loss);
      terms.push(loss);
    }
    if (taught && dkd) {
      const target = tf.oneHot(tf.argMax(targets, 1) as tf.Tensor1D, targets.shape[1]) as tf.Tensor2D;
      const loss = dkdLoss(logits, taught.logits, tf.cast(target, 'float32'), dkd);
      note(`dkd_${who}`, loss);
      terms.push(loss);
    }
    const [first, fifth] = accuracies(logits, oneHot, [1, 5]);
    note(`acc1_${who}`, first!);
    note(`acc5_${who}`, fifth!);
    return terms.reduce((sum, term) => tf.add(sum, term));
  }
}

/** Under ReviewKD the network's names begin so. */
export const networkPrefix = ({staticTeacher}: StepConfig): string => (staticTeacher?.reviewKd ? 'student.' : '');
