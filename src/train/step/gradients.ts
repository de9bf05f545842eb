/**
 * The first half of a step: from a batch to losses and gradients. It changes statistics and nothing else; between it and the update
 * (update.ts) gradients may be averaged over machines.
 */
import * as tf from '@tensorflow/tfjs-core';
import {asReference} from './compat.js';
import {type GpdLoss, gpdLosses} from './losses/gpd-losses.js';
import type {ActiveLoss, StaticLossName} from './losses/index.js';
import {accuracies, crossEntropy} from './losses/losses.js';
import type {Seen} from './losses/static-loss.js';
import {connectorParameters, type Forward, type Mode, type Parameters, TrainedNetwork} from './networks/networks.js';
import {fillStatistics} from './networks/statistics.js';
import {flatten, globalNorm} from './parameters/flat-parameters.js';
import type {TensorStore} from './parameters/store.js';
import type {StepConfig, StepMetrics, Who} from './step-config.js';

export type Metric =
  | Exclude<keyof StepMetrics, 'applied' | 'grad_norm' | 'clip_coef' | 'distilled'>
  | `${StaticLossName}_${Who}`;
export type Scalars = Map<Metric, tf.Scalar>;
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
  private readonly network: TrainedNetwork;
  private readonly teacher: TrainedNetwork | undefined;

  constructor(
    private readonly config: StepConfig,
    private readonly store: TensorStore,
    private readonly teacherStore: TensorStore | undefined,
  ) {
    const {arch, form, imageSize, staticTeacher} = config;
    const moments = new Set(staticTeacher?.losses.flatMap((loss) => this.momentOf(loss) ?? []));
    this.network = new TrainedNetwork({arch, form, imageSize, store, prefix: networkPrefix(config), moments});
    if (staticTeacher && teacherStore) {
      const {arch, form} = staticTeacher;
      this.teacher = new TrainedNetwork({arch, form, imageSize, store: teacherStore, prefix: '', moments});
    }
  }

  /** Where the features of a loss are taken, if it has any. */
  private momentOf({features}: ActiveLoss): ActiveLoss['features'] {
    return features && asReference(this.config.compat, 'activatedFeatures') ? 'afterActivation' : features;
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
    const {loss, reference}: GpdLoss = gpdLosses[gpd.kd.kind];
    const drawing = reference && asReference(compat, 'logitsAsTargets') ? reference : loss;
    const kd = tf.mul(drawing(tiny.logits, withoutGradient(expanded.logits)), step.kdWeight) as tf.Scalar;
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
    own: Forward,
    {targets, oneHot}: StepTensors,
    taught: Forward | undefined,
    mode: Mode,
    note: (name: Metric, value: tf.Scalar) => void,
  ): tf.Scalar {
    const entropy = crossEntropy(own.logits, targets);
    const terms = [entropy];
    note(`ce_${who}`, entropy);
    for (const loss of taught ? this.config.staticTeacher!.losses : []) {
      const value = this.distilled(loss, who, own, taught!, targets, mode);
      note(`${loss.name}_${who}`, value);
      terms.push(value);
    }
    const [first, fifth] = accuracies(own.logits, oneHot, [1, 5]);
    note(`acc1_${who}`, first!);
    note(`acc5_${who}`, fifth!);
    return terms.reduce((sum, term) => tf.add(sum, term));
  }

  /** One loss of the static teacher. */
  private distilled(loss: ActiveLoss, who: Who, own: Forward, taught: Forward, targets: tf.Tensor2D, mode: Mode): tf.Scalar {
    const moment = this.momentOf(loss);
    const seen = ({logits, features}: Forward): Seen => ({logits, features: moment ? features[moment]! : []});
    const name = loss.connectors?.name ?? '';
    const prefix = who === 'expanded' && this.config.gpd ? `${name}_dual` : name;
    const connectors = connectorParameters(this.store, prefix, mode);
    return loss.compute({student: seen(own), teacher: seen(taught), targets, connectors});
  }
}

/** Beside connectors the network's names begin so. */
export const networkPrefix = ({staticTeacher}: StepConfig): string =>
  staticTeacher?.losses.some(({connectors}) => connectors) ? 'student.' : '';
