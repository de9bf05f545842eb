/** The step as a whole, on a small network of our own: what must hold whatever the numbers are. The goldens judge the numbers. */
import {readdirSync, readFileSync} from 'node:fs';
import {join} from 'node:path';
import * as tf from '@tensorflow/tfjs-core';
import {random} from '../../src/core/random.js';
import {float32} from '../../src/core/tensor.js';
import {cifarResnet} from '../../src/models/families/cifar-resnet.js';
import {initialState} from '../../src/train/run/initial-state.js';
import {compatRules} from '../../src/train/step/compat.js';
import {activeLosses, type LossValues, lossOptions, type StaticLossName} from '../../src/train/step/losses/index.js';
import {fusionModules, reviewKdSize} from '../../src/train/step/losses/review-kd.js';
import type {NamedTensors} from '../../src/train/step/parameters/named-tensors.js';
import type {StaticTeacher, StepConfig, StepInput, TrainingBatch} from '../../src/train/step/step-config.js';
import {createTrainer} from '../../src/train/step/trainer.js';
import {expectClose} from '../close.js';
import {startBackend} from '../tfjs/both.js';

const SIDE = 8;
const CLASSES = 5;
const student = cifarResnet('small', {widths: [2, 2, 3], depths: [1, 1, 1], classifier: 'linear', classes: CLASSES});
const large = cifarResnet('large', {widths: [3, 4, 5], depths: [1, 1, 1], classifier: 'linear', classes: CLASSES});

const plain = {imageSize: SIDE, orepa: false, ratio: 1, compat: 'default'} as const;
const teacherState = initialState({...plain, arch: large, seed: 9});
const fusion = fusionModules({...reviewKdSize(student, large, SIDE), mid: 4});
const values = Object.fromEntries(Object.entries(lossOptions).map(([name, {or}]) => [name, or])) as unknown as LossValues;
const teacher = (kd: readonly StaticLossName[]): StaticTeacher => ({
  ...{arch: large, form: teacherState.form, state: teacherState.state},
  losses: activeLosses(kd, values, {student, teacher: large, imageSize: SIDE}).map((loss) =>
    loss.connectors ? {...loss, connectors: fusion} : loss,
  ),
});

/** Dynamic teacher, branches, static teacher, both of its losses, average, clipping. */
function everything(changes: Partial<StepConfig> = {}): {config: StepConfig; state: NamedTensors} {
  const ratio = 'gpd' in changes && !changes.gpd ? 1 : 2;
  const options = {...plain, arch: student, ratio, orepa: true, seed: 1, connectors: [fusion]} as const;
  const {form, state} = initialState(options);
  const config: StepConfig = {
    ...{arch: student, imageSize: SIDE, form, labelSmoothing: 0.1, clipNorm: 5, emaDecay: 0.9, compat: 'default'},
    gpd: {kd: {kind: 'sce', weight: 3}},
    staticTeacher: teacher(['reviewkd', 'dkd', 'at']),
    optimizer: {kind: 'sgd', momentum: 0.9, nesterov: false},
    decay: {kind: 'all', weightDecay: 1e-4},
    ...changes,
  };
  return {config, state};
}

function batch(seed: number): TrainingBatch {
  const r = random(seed);
  const shape = [6, 3, SIDE, SIDE];
  const images = float32(
    shape,
    Float32Array.from({length: 6 * 3 * SIDE * SIDE}, () => r.normal()),
  );
  const mix = seed % 2 === 0 ? ({kind: 'cutmix', lam: 0.75, box: [0, 4, 4, 8]} as const) : ({kind: 'mixup', lam: 0.3} as const);
  return {images, labels: Array.from({length: 6}, () => r.integer(CLASSES)), mix};
}

async function train(setup: ReturnType<typeof everything>, steps: number, input: Partial<StepInput> = {}) {
  const trainer = createTrainer(setup.config, {model: setup.state});
  const metrics = [];
  for (let i = 0; i < steps; i++) metrics.push(await trainer.step(batch(i), {lr: 0.05, ...input}));
  const state = await trainer.state();
  trainer.dispose();
  return {metrics, state};
}

async function gradients(changes: Partial<StepConfig>): Promise<NamedTensors> {
  let found: NamedTensors = new Map();
  await train(everything(changes), 1, {onGradients: (tensors) => (found = tensors)});
  return found;
}
const gpd = {kd: {kind: 'sce', weight: 3}} as const;
const numbers = (tensors: NamedTensors): [string, number[]][] =>
  [...tensors].map(([k, {data}]) => [k, Array.from(data as ArrayLike<number>, Number)]);

beforeAll(startBackend);

test('both backends take the same three steps', async () => {
  const results = [];
  for (const backend of ['cpu', 'onnxruntime']) {
    await tf.setBackend(backend);
    results.push(await train(everything(), 3));
  }
  const [cpu, onnx] = results as [Awaited<ReturnType<typeof train>>, Awaited<ReturnType<typeof train>>];
  for (const [i, row] of cpu.metrics.entries()) {
    expectClose(
      Object.values(onnx.metrics[i]!).map(Number),
      Object.values(row).map(Number),
      {rtol: 1e-4, because: 'float32'},
      `step ${i}`,
    );
  }
  const average = new Map(numbers(onnx.state.ema!));
  for (const [key, values] of numbers(cpu.state.ema!)) {
    expectClose(average.get(key)!, values, {rtol: 1e-3, atol: 1e-5, because: 'three steps in float32'}, key);
  }
});

describe.each(['cpu', 'onnxruntime'])('on %s', (backend) => {
  beforeAll(() => tf.setBackend(backend));

  test.each(['default', 'reference'] as const)(
    'a state that was taken and given back goes on bit by bit (%s)',
    async (compat) => {
      const {config, state} = everything({compat, optimizer: {kind: 'adamw', betas: [0.9, 0.999], eps: 1e-8}});
      const whole = createTrainer(config, {model: state});
      for (let i = 0; i < 3; i++) await whole.step(batch(i), {lr: 0.01});
      const saved = await whole.state();
      const rest = createTrainer(config, saved);
      for (let i = 3; i < 6; i++) {
        expect(await rest.step(batch(i), {lr: 0.01})).toEqual(await whole.step(batch(i), {lr: 0.01}));
      }
      expect(await rest.state()).toEqual(await whole.state());
      expect(await rest.evaluate(batch(9).images, 'ema')).toEqual(await whole.evaluate(batch(9).images, 'ema'));
      for (const trainer of [whole, rest]) trainer.dispose();
    },
  );

  test('nothing is left behind', async () => {
    await train(everything(), 2);
    const {numTensors} = tf.memory();
    await train(everything(), 4);
    expect(tf.memory().numTensors).toBe(numTensors);
  });
});

/** Nothing to compile: small networks are faster there. */
describe('on cpu alone', () => {
  beforeAll(() => tf.setBackend('cpu'));

  test('gradients are those of the two losses, added', async () => {
    const [one, two, frozen] = [
      new Map(numbers(await gradients({gpd}))),
      new Map(numbers(await gradients({gpd: {...gpd, expandedLossWeight: 2}}))),
      new Map(numbers(await gradients({gpd: {...gpd, freezeExpanded: true}}))),
    ];
    for (const [key, values] of one) {
      const others = frozen.get(key) ?? values.map(() => 0); // abfs_dual serves the dynamic teacher alone
      const expected = values.map((v, i) => 2 * v - others[i]!);
      expectClose(two.get(key)!, expected, {rtol: 1e-4, atol: 1e-5, because: 'differences in float32'}, key);
    }
  });

  test('the gradient of the dynamic teacher alone has the norm that is reported', async () => {
    const {metrics} = await train(everything({expandedNorm: true}), 1);
    const [one, frozen] = [await gradients({gpd}), new Map(numbers(await gradients({gpd: {...gpd, freezeExpanded: true}})))];
    const alone = numbers(one).flatMap(([key, values]) => values.map((v, i) => v - (frozen.get(key)?.[i] ?? 0)));
    const norm = Math.sqrt(alone.reduce((sum, v) => sum + v * v, 0));
    expectClose([metrics[0]!.grad_norm_after_expanded_backward!], [norm], {rtol: 1e-4, because: 'float32'});
  });

  test('numbers that are not finite change no parameter', async () => {
    const {config, state} = everything();
    const trainer = createTrainer(config, {model: state});
    const {images, ...others} = batch(0);
    const broken = float32(
      images.shape,
      images.data.map((v, i) => (i === 7 ? Number.NaN : v)),
    );
    expect((await trainer.step({images: broken, ...others}, {lr: 0.1})).applied).toBe(false);
    const {model} = await trainer.state();
    expect(model.get('student.conv1.weight')).toEqual(state.get('student.conv1.weight'));
    trainer.dispose();
  });

  test("the student's statistics see the student alone, unless the original is asked for", async () => {
    const [ours, theirs] = [await train(everything(), 1), await train(everything({compat: 'reference'}), 1)];
    const of = ({state}: typeof ours, leaf: string) => Array.from(state.model.get(`student.bn1.${leaf}`)!.data as Float32Array);
    expectClose(of(ours, 'running_mean'), of(theirs, 'running_mean'), {rtol: 1e-5, because: 'the same'});
    // 0.9·0 + 0.1·μ against 0.9·(0.1·μₜ) + 0.1·μ, where the teacher's mean μₜ is about the student's
    const seeded = of(theirs, 'tiny_running_mean').map((v, i) => v - 0.9 * of(theirs, 'running_mean')[i]!);
    expectClose(of(ours, 'tiny_running_mean').slice(0, 2), seeded.slice(0, 2), {rtol: 1e-3, atol: 1e-6, because: 'float32'});
    expect(of(ours, 'tiny_running_mean').slice(2)).toEqual([0, 0]);
  });

  test('counters: two passes a step, one of fusion modules; the average carries them', async () => {
    const count = (tensors: NamedTensors, layer: string) => Number(tensors.get(`${layer}.num_batches_tracked`)!.data[0]);
    const {state} = await train(everything(), 3);
    expect(['student.bn1', 'abfs.0.conv1.1', 'abfs_dual.0.conv1.1'].map((layer) => count(state.model, layer))).toEqual([
      6, 3, 3,
    ]);
    expect(count(state.ema!, 'student.bn1')).toBe(6);
    const reference = await train(everything({compat: 'reference'}), 3);
    expect(count(reference.state.ema!, 'student.bn1')).toBe(0); // 0.1 · 2 = 0.2 → 0, and again
  });

  test('a baseline is one network, whose losses are called expanded', async () => {
    const {gpd: _, ...alone} = everything().config;
    const {form, state} = initialState({...plain, arch: student, orepa: true, seed: 1, connectors: [fusion]});
    const {metrics} = await train({config: {...alone, form}, state}, 2);
    expect(metrics[1]).toMatchObject({kd_loss: 0, total_loss: metrics[1]!.loss_expanded, acc1_tiny: metrics[1]!.acc1_expanded});
    expect(metrics[1]).not.toHaveProperty('loss_tiny');
    expect(metrics[1]!.applied).toBe(true);
  });

  test('a batch of another size is refused', async () => {
    const {config, state} = everything();
    const trainer = createTrainer(config, {model: state});
    const {labels} = batch(0);
    await expect(trainer.step({images: float32([6, 3, 4, 4], new Float32Array(288)), labels}, {lr: 1})).rejects.toMatchObject({
      code: 'SHAPE_MISMATCH',
    });
    trainer.dispose();
  });
});

test('every rule of compatibility is asked for somewhere', () => {
  const folder = join(__dirname, '../../src/train');
  const sources = readdirSync(folder, {recursive: true, encoding: 'utf8'})
    .filter((file) => file.endsWith('.ts') && !file.endsWith('compat.ts'))
    .map((file) => readFileSync(join(folder, file), 'utf8'));
  const unused = Object.keys(compatRules).filter(
    (rule) => !sources.some((text) => new RegExp(`asReference\\([^)]*'${rule}'\\)`).test(text)),
  );
  expect(unused).toEqual([]);
});
