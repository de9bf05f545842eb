/** Optimisers, decay groups and schedules against their definitions, element by element in float64. */
import {readFileSync} from 'node:fs';
import * as tf from '@tensorflow/tfjs-core';
import {random} from '../../src/core/random.js';
import {learningRate} from '../../src/train/options/schedules.js';
import {decayGroups, type ParameterInfo} from '../../src/train/step/parameters/decay-groups.js';
import {type OptimizerConfig, slotNames, stepScalars, updateParameter} from '../../src/train/step/parameters/optimizers.js';
import {expectClose} from '../close.js';
import {describeShared, shared} from '../shared.js';
import {startBackend} from '../tfjs/both.js';

beforeAll(startBackend);

type Slots = Record<string, number>;
/** One number through one step, as PyTorch 1.13 documents it. */
const definitions: Record<
  OptimizerConfig['kind'],
  (c: never, p: number, g: number, s: Slots, o: {lr: number; wd: number; t: number}) => number
> = {
  sgd(c: Extract<OptimizerConfig, {kind: 'sgd'}>, p, g, s, {lr, wd, t}) {
    const d = g + wd * p;
    if (c.momentum === 0) return p - lr * d;
    s['b'] = t === 1 ? d : c.momentum * s['b']! + d; // the first time the buffer is the gradient
    return p - lr * (c.nesterov ? d + c.momentum * s['b'] : s['b']);
  },
  rmsprop(c: Extract<OptimizerConfig, {kind: 'rmsprop'}>, p, g, s, {lr, wd}) {
    const d = g + wd * p;
    s['v'] = c.alpha * (s['v'] ?? 0) + (1 - c.alpha) * d * d;
    const scaled = d / (Math.sqrt(s['v']) + c.eps);
    if (c.momentum === 0) return p - lr * scaled;
    s['b'] = c.momentum * (s['b'] ?? 0) + scaled;
    return p - lr * s['b'];
  },
  adamw(c: Extract<OptimizerConfig, {kind: 'adamw'}>, p, g, s, {lr, wd, t}) {
    const [b1, b2] = c.betas;
    s['m'] = b1 * (s['m'] ?? 0) + (1 - b1) * g;
    s['v'] = b2 * (s['v'] ?? 0) + (1 - b2) * g * g;
    const [m, v] = [s['m'] / (1 - b1 ** t), s['v'] / (1 - b2 ** t)];
    return p * (1 - lr * wd) - (lr * m) / (Math.sqrt(v) + c.eps);
  },
};

const configs: OptimizerConfig[] = [
  {kind: 'sgd', momentum: 0, nesterov: false},
  {kind: 'sgd', momentum: 0.9, nesterov: false},
  {kind: 'sgd', momentum: 0.9, nesterov: true},
  {kind: 'rmsprop', alpha: 0.9, eps: 0.0316, momentum: 0},
  {kind: 'rmsprop', alpha: 0.9, eps: 0.0316, momentum: 0.9},
  {kind: 'adamw', betas: [0.9, 0.999], eps: 1e-8},
];

describe.each(['cpu', 'onnxruntime'])('on %s', (backend) => {
  beforeAll(() => tf.setBackend(backend));

  test.each(configs)('six steps of %j', (config) => {
    const r = random(JSON.stringify(config));
    const numbers = () => Array.from({length: 20}, () => r.normal() * 10 ** (r.integer(7) - 3)); // of several magnitudes
    let expected = numbers();
    const states = expected.map((): Slots => ({}));
    let value: tf.Tensor = tf.tensor1d(expected);
    let slots: tf.Tensor[] = slotNames(config).map(() => tf.zeros([20]));
    for (let t = 1; t <= 6; t++) {
      const gradient = numbers();
      const [lr, wd] = [0.1 / t, t % 2 === 0 ? 0.05 : 0];
      const scalars = stepScalars(config, lr, t).map((v) => tf.scalar(v));
      const update = updateParameter(config, value, tf.tensor1d(gradient), slots, wd, scalars);
      ({value} = update);
      ({slots} = update);
      const step = definitions[config.kind] as (...args: unknown[]) => number;
      expected = expected.map((p, i) => step(config, p, gradient[i]!, states[i]!, {lr, wd, t}));
    }
    const actual = value.dataSync();
    for (const [i, v] of expected.entries()) {
      expectClose([actual[i]!], [v], {rtol: 1e-5, atol: 1e-6, because: 'six roundings in float32'}, `number ${i}`);
    }
  });
});

const parameters: ParameterInfo[] = [
  {key: 'conv1.weight', shape: [4, 3, 3, 3], ofNorm: false},
  {key: 'bn1.weight', shape: [4], ofNorm: true},
  {key: 'bn1.bias', shape: [4], ofNorm: true},
  {key: 'layer1.0.conv1.vector', shape: [6, 4], ofNorm: false},
  {key: 'layer1.0.conv1.bias_orepa_origin', shape: [4], ofNorm: false},
  {key: 'fc.bias', shape: [10], ofNorm: false},
];

describe('decay groups', () => {
  test('everything decays, vectors too', () => {
    expect(decayGroups(parameters, {kind: 'all', weightDecay: 1e-4})).toEqual([
      {weightDecay: 1e-4, keys: parameters.map(({key}) => key)},
    ]);
  });
  test('norms apart, and biases before norms: groups in the order of the optimiser', () => {
    expect(decayGroups(parameters, {kind: 'all', weightDecay: 1, norm: 0, bias: 0.5})).toEqual([
      {weightDecay: 1, keys: ['conv1.weight', 'layer1.0.conv1.vector', 'layer1.0.conv1.bias_orepa_origin']},
      {weightDecay: 0, keys: ['bn1.weight']},
      {weightDecay: 0.5, keys: ['bn1.bias', 'fc.bias']},
    ]);
  });
  test('matrices alone: the scales of OREPA are one', () => {
    expect(decayGroups(parameters, {kind: 'matrices', weightDecay: 0.05})).toEqual([
      {weightDecay: 0, keys: ['bn1.weight', 'bn1.bias', 'layer1.0.conv1.bias_orepa_origin', 'fc.bias']},
      {weightDecay: 0.05, keys: ['conv1.weight', 'layer1.0.conv1.vector']},
    ]);
  });
});

describe('schedules', () => {
  const cosine = {kind: 'cosine', lr: 1, minLr: 0.1, epochs: 10, warmupEpochs: 2, warmupLr: 0.01} as const;
  test('by default an epoch has its own rate, with the reference that of the one before', () => {
    const rates = [0, 1, 2, 3, 12].map((epoch) => learningRate({...cosine, lagging: false}, epoch));
    const middle = (t: number) => 0.1 + 0.45 * (1 + Math.cos((Math.PI * t) / 10));
    expectClose(rates, [0.01, 0.505, middle(2), middle(3), 0.1], {rtol: 1e-12, because: 'float64'});
    const late = [0, 1, 2, 3, 4].map((epoch) => learningRate({...cosine, lagging: true}, epoch));
    expect(late).toEqual([0.01, ...[0, 1, 2, 3].map((epoch) => learningRate({...cosine, lagging: false}, epoch))]);
  });

  describeShared('goldens/train/losses', 'tables of the original', () => {
    const tables = (file: string) => JSON.parse(readFileSync(shared('goldens/train/losses', file), 'utf8')).tables;
    test('steps', () => {
      for (const t of tables('lr_cnn.json')) {
        const schedule = {
          kind: 'steps',
          lr: t.learning_rate,
          warmupEpochs: t.lr_warmup_epochs,
          milestones: t.lr_adjust_step,
        } as const;
        const rates = t.lr_per_epoch.map((_: number, epoch: number) => learningRate(schedule, epoch));
        expectClose(rates, t.lr_per_epoch, {rtol: 1e-12, because: 'float64'});
      }
    });
    test('cosine', () => {
      for (const {args, lr_during_epoch: expected} of tables('lr_rvt.json')) {
        const schedule = {
          ...{kind: 'cosine', lr: args.lr, minLr: args.min_lr, epochs: args.epochs},
          ...{warmupEpochs: args.warmup_epochs, warmupLr: args.warmup_lr, lagging: true},
        } as const;
        const rates = expected.map((_: number, epoch: number) => learningRate(schedule as never, epoch));
        expectClose(rates, expected, {rtol: 1e-12, because: 'float64'});
      }
    });
  });
});
