/**
 * The training step of Gap Preserving Distillation as an object: batches go in, numbers come out, and its state can be taken and
 * given back at any time. Data, epochs, files and schedules are the caller's.
 */
import * as tf from '@tensorflow/tfjs-core';
import {GpdError} from '../../core/error.js';
import {type Shape, type Tensor, zeros} from '../../core/tensor.js';
import {capture, release, type TensorFunction} from './capture.js';
import {asReference} from './compat.js';
import {GradientStage, type Metric, networkPrefix} from './gradients.js';
import type {StaticLossName} from './losses/index.js';
import {mixWeights, oneHot, targetsOf} from './mix.js';
import {TrainedNetwork} from './networks/networks.js';
import {fillStatistics} from './networks/statistics.js';
import {cut, type Flat, flatsOf, globalNorm} from './parameters/flat-parameters.js';
import type {NamedTensors} from './parameters/named-tensors.js';
import {groupsOf} from './parameters/optimizer-state.js';
import {slotNames} from './parameters/optimizers.js';
import {download, isParameter, TensorStore, upload} from './parameters/store.js';
import type {
  DistilledMetrics,
  InitialState,
  StepConfig,
  StepInput,
  StepLogits,
  StepMetrics,
  Trainer,
  TrainerState,
  TrainingBatch,
} from './step-config.js';
import {UpdateStage} from './update.js';

export type {Trainer} from './step-config.js';

const NORM_MARGIN = 1e-6; // torch.nn.utils.clip_grad_norm_

type Shapes = ReadonlyMap<string, Shape>;
const parameterShapes = (model: NamedTensors): Shapes =>
  new Map([...model].filter(([key]) => isParameter(key)).map(([key, {shape}]) => [key, shape]));
const emptySlot = (shapes: Shapes): NamedTensors => new Map([...shapes].map(([key, shape]) => [key, zeros('float32', shape)]));

/** What no loss depends on is not trained, and does not decay: the dynamic teacher's connectors where nothing is made of them. */
function isIdle({gpd, staticTeacher}: StepConfig, key: string): boolean {
  if (gpd && !gpd.freezeExpanded && (gpd.staticTeacherForExpanded ?? true)) return false;
  return staticTeacher?.losses.some(({connectors}) => connectors && key.startsWith(`${connectors.name}_dual.`)) ?? false;
}

function flatsFor(config: StepConfig, model: NamedTensors): Flat[] {
  const groups = groupsOf(model, config.decay).map(({weightDecay, keys}) => ({
    weightDecay,
    keys: keys.filter((key) => !isIdle(config, key)),
  }));
  return flatsOf(groups, model);
}
const frozen = (state: NamedTensors): Flat[] => flatsOf([{weightDecay: 0, keys: [...state.keys()].filter(isParameter)}], state);

/** On the current TensorFlow.js backend. */
export function createTrainer(config: StepConfig, initial: InitialState): Trainer {
  return new TensorflowTrainer(config, initial);
}

class TensorflowTrainer implements Trainer {
  private readonly model: TensorStore;
  private readonly ema: TensorStore | undefined;
  private readonly slots: ReadonlyMap<string, TensorStore>;
  private readonly teacher: TensorStore | undefined;
  private readonly gradients: GradientStage;
  private readonly updates: UpdateStage;
  private readonly captured: {
    gradients: TensorFunction;
    norm: TensorFunction;
    evaluate: Record<'model' | 'ema', TensorFunction>;
  };
  private metrics: readonly Metric[] = [];
  /** Of the parameters, in their order. */
  private readonly shapes: Shapes;
  private steps = 0;

  constructor(
    readonly config: StepConfig,
    initial: InitialState,
  ) {
    const flats = flatsFor(config, initial.model);
    this.shapes = parameterShapes(initial.model);
    this.model = new TensorStore(initial.model, flats);
    this.ema = config.emaDecay === undefined ? undefined : new TensorStore(initial.ema ?? initial.model, flats);
    this.slots = new Map(
      slotNames(config.optimizer).map((slot) => [
        slot,
        new TensorStore(initial.optimizer?.slots.get(slot) ?? emptySlot(this.shapes), flats),
      ]),
    );
    const taught = initial.staticTeacher ?? config.staticTeacher?.state;
    this.teacher = config.staticTeacher && taught && new TensorStore(taught, frozen(taught));
    this.gradients = new GradientStage(config, this.model, this.teacher);
    this.updates = new UpdateStage(config, {model: this.model, slots: [...this.slots.values()], ema: this.ema});
    this.captured = {
      gradients: capture((...args) => this.computeGradients(args)),
      norm: capture((...gradients) => [globalNorm(gradients)]),
      evaluate: {model: this.evaluation(this.model), ema: this.evaluation(this.ema)},
    };
    this.begin(initial);
  }

  async step(batch: TrainingBatch, {lr, kdScale = 1, onGradients}: StepInput): Promise<StepMetrics> {
    const inputs = this.upload(batch, kdScale);
    const [packed, ...gradients] = this.captured.gradients(...inputs) as [tf.Tensor, ...tf.Tensor[]];
    tf.dispose(inputs);
    this.countBatches();
    const [norm] = this.captured.norm(...gradients) as [tf.Tensor];
    if (onGradients) onGradients(await this.named(gradients));
    const values = await packed.data();
    const [gradNorm] = (await norm.data()) as Float32Array;
    const named = Object.fromEntries(this.metrics.map((name, i) => [name, values[i]!]));
    const applied = Number.isFinite(gradNorm) && Number.isFinite(named['total_loss']);
    const clip = this.config.clipNorm === undefined ? 1 : Math.min(1, this.config.clipNorm / (gradNorm! + NORM_MARGIN));
    if (applied) {
      this.updates.apply(gradients, {lr, clip, step: ++this.steps});
    }
    release([packed, norm, ...gradients]);
    return this.report(named, gradNorm!, clip, applied);
  }

  async evaluate(images: Tensor<'float32' | 'float64'>, weights: 'model' | 'ema' = 'model'): Promise<StepLogits> {
    const input = upload(images);
    const results = this.captured.evaluate[weights](input);
    const [student, teacher] = await Promise.all(results.map(download));
    tf.dispose([input, ...results]);
    return {student: student!, ...(teacher && {teacher})};
  }

  async state(): Promise<TrainerState> {
    const slots = new Map<string, NamedTensors>();
    for (const [name, store] of this.slots) slots.set(name, await store.read());
    return {
      model: await this.model.read(),
      ...(this.ema && {ema: await this.ema.read()}),
      optimizer: {step: this.steps, slots},
      ...(this.teacher && this.driftingTeacher && {staticTeacher: await this.teacher.read()}),
    };
  }

  load(state: InitialState): void {
    this.model.load(state.model);
    this.ema?.load(state.ema ?? state.model);
    for (const [name, store] of this.slots) store.load(state.optimizer?.slots.get(name) ?? emptySlot(this.shapes));
    if (this.teacher) this.teacher.load(state.staticTeacher ?? this.config.staticTeacher!.state);
    this.begin(state);
  }

  /** What a state says beside its tensors. */
  private begin(state: InitialState): void {
    this.steps = state.optimizer?.step ?? 0;
    if (asReference(this.config.compat, 'copiedStatistics')) return;
    fillStatistics(this.model);
    if (this.ema) fillStatistics(this.ema);
  }

  dispose(): void {
    for (const store of [this.model, this.ema, this.teacher, ...this.slots.values()]) store?.dispose();
  }

  private async named(gradients: readonly tf.Tensor[]): Promise<NamedTensors> {
    const named = new Map<string, Tensor>();
    for (const [i, flat] of this.model.flats.entries()) {
      for (const [key, gradient] of cut(flat, await download(gradients[i]!))) named.set(key, gradient);
    }
    return new Map([...this.shapes.keys()].flatMap((key) => (named.has(key) ? [[key, named.get(key)!] as const] : [])));
  }

  private get driftingTeacher(): boolean {
    return asReference(this.config.compat, 'teacherBatchStatistics');
  }

  /** In the order in which `computeGradients` takes them. */
  private upload({images, labels, mix}: TrainingBatch, kdScale: number): tf.Tensor[] {
    const {arch, imageSize, labelSmoothing = 0, gpd} = this.config;
    if (
      images.shape[1] !== 3 ||
      images.shape[2] !== imageSize ||
      images.shape[3] !== imageSize ||
      images.shape[0] !== labels.length
    ) {
      throw new GpdError(
        'SHAPE_MISMATCH',
        `a batch of [${images.shape}] with ${labels.length} labels is not [N, 3, ${imageSize}, ${imageSize}]`,
      );
    }
    return [
      upload(images),
      upload(targetsOf(labels, arch.classes, labelSmoothing, mix)),
      upload(oneHot(labels, arch.classes)),
      tf.scalar(kdScale * (gpd?.kd.weight ?? 0)),
      ...(mix ? [upload(mixWeights(mix, imageSize))] : []),
    ];
  }

  /** What is captured: the numbers as one tensor, then the gradients of the flat tensors. */
  private computeGradients([images, targets, labels, kdWeight, mix]: readonly tf.Tensor[]): tf.Tensor[] {
    const {scalars, gradients} = this.gradients.compute({
      images: images!,
      targets: targets as tf.Tensor2D,
      oneHot: labels as tf.Tensor2D,
      kdWeight: kdWeight!,
      mixWeights: mix,
    });
    this.metrics = [...scalars.keys()];
    const packed = tf.stack([...scalars.values()]);
    tf.dispose([...scalars.values()]);
    return [packed, ...gradients];
  }

  /** Every pass through a batch norm counts: two a step in a widened one. */
  private countBatches(): void {
    const count = (store: TensorStore) => {
      for (const layer of store.counted) {
        const passes = this.config.gpd && store.has(`${layer}.tiny_running_mean`) ? 2 : 1;
        store.setCounter(layer, store.counter(layer) + passes);
      }
    };
    count(this.model);
    if (this.teacher && this.driftingTeacher) count(this.teacher);
  }

  private report(
    named: Readonly<Partial<Record<Metric, number>>>,
    gradNorm: number,
    clip: number,
    applied: boolean,
  ): StepMetrics {
    const first = (...names: Metric[]) => names.map((name) => named[name]).find((value) => value !== undefined) ?? 0;
    return {
      ce_expanded: first('ce_expanded'),
      loss_expanded: first('loss_expanded'),
      distilled: this.distilled(named),
      ...(this.config.gpd && {
        ce_tiny: first('ce_tiny'),
        loss_tiny: first('loss_tiny'),
      }),
      kd_loss: first('kd_loss'),
      total_loss: first('total_loss'),
      ...(this.config.expandedNorm &&
        this.config.gpd && {grad_norm_after_expanded_backward: first('grad_norm_after_expanded_backward')}),
      grad_norm: gradNorm,
      ...(this.config.clipNorm !== undefined && {clip_coef: clip}),
      acc1_tiny: first('acc1_tiny', 'acc1_expanded'),
      acc5_tiny: first('acc5_tiny', 'acc5_expanded'),
      acc1_expanded: first('acc1_expanded'),
      acc5_expanded: first('acc5_expanded'),
      applied,
    };
  }

  private distilled(named: Readonly<Partial<Record<Metric, number>>>): DistilledMetrics {
    const of = (name: StaticLossName) =>
      (['expanded', 'tiny'] as const).flatMap((who) => {
        const value = named[`${name}_${who}`];
        return value === undefined ? [] : [[who, value] as const];
      });
    const losses = this.config.staticTeacher?.losses ?? [];
    return Object.fromEntries(losses.map(({name}) => [name, Object.fromEntries(of(name))]));
  }

  private evaluation(store: TensorStore | undefined): TensorFunction {
    if (!store)
      return () => {
        throw new GpdError('CONFIG_INVALID', 'there is no moving average to evaluate', {hint: 'train with --model-ema'});
      };
    const {arch, form, imageSize, gpd, compat} = this.config;
    const network = new TrainedNetwork({arch, form, imageSize, store, prefix: networkPrefix(this.config)});
    return capture((images) => {
      if (asReference(compat, 'copiedStatistics')) fillStatistics(store);
      const x = tf.transpose(images!, [0, 2, 3, 1]);
      const roles = gpd ? (['student', 'teacher'] as const) : (['student'] as const);
      return store.withPieces(() => roles.map((role) => network.forward(x, network.parameters(role), 'evaluation').logits));
    });
  }
}
