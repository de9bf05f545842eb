/** Checkpoints of runs: through a file and back, and what the original wrote, read. */
import type {Checkpoint} from '../../src/checkpoint/checkpoint.js';
import {openCheckpoint} from '../../src/checkpoint/open.js';
import {isKind, isMap, type PlainData} from '../../src/checkpoint/plain-data.js';
import {bufferSource, fileSource} from '../../src/core/bytes.js';
import {random} from '../../src/core/random.js';
import {float32, type Tensor, toFloat64} from '../../src/core/tensor.js';
import {cifarResnet} from '../../src/models/families/cifar-resnet.js';
import {recognise} from '../../src/models/recognise.js';
import {resolveOptions} from '../../src/train/options/config.js';
import type {OptionName} from '../../src/train/options/options.js';
import {readCheckpoint, readWeights, writeCheckpoint} from '../../src/train/run/checkpoint.js';
import {initialState} from '../../src/train/run/initial-state.js';
import {noSums, type Position} from '../../src/train/run/position.js';
import {decayOf, optimizerOf} from '../../src/train/run/step-settings.js';
import type {NamedTensors} from '../../src/train/step/parameters/named-tensors.js';
import {slotNames} from '../../src/train/step/parameters/optimizers.js';
import {isParameter} from '../../src/train/step/parameters/store.js';
import type {TrainerState} from '../../src/train/step/step-config.js';
import {describeShared, shared} from '../shared.js';

const arch = cifarResnet('small', {widths: [2, 4, 4], depths: [1, 1, 1], classes: 3, classifier: 'linear'});
const {state: model} = initialState({arch, imageSize: 8, ratio: 2, orepa: true, seed: 0, compat: 'default'});
const r = random('checkpoint');
const noise = (like: NamedTensors): Map<string, Tensor> =>
  new Map(
    [...like].map(([key, t]) => [
      key,
      t.dtype === 'int64'
        ? t
        : float32(
            t.shape,
            Float32Array.from(t.data as Float32Array, () => (key.endsWith('running_var') ? 0.1 + r.uniform() : r.normal())),
          ),
    ]),
  );

const position: Position = {
  ...{version: 1, config: 'arch: resnet18', epoch: 3, step: 17, steps: 317, attempt: 0, images: 100},
  ...{sums: {...noSums(), metrics: {total_loss: 0.1 + 0.2}}, kept: [{epoch: 2, metric: 50}], epochs: [], best: undefined},
};

function written(given: Partial<Record<OptionName, string>>, steps = 5) {
  const options = resolveOptions([
    new Map(Object.entries(given).map(([name, value]) => [name as OptionName, {value, from: 'test'}])),
  ]);
  const settings = {optimizer: optimizerOf(options), decay: decayOf(options)};
  const parameters = new Map([...model].filter(([key]) => isParameter(key)));
  const slots = new Map(slotNames(settings.optimizer).map((name) => [name, noise(parameters)]));
  const state: TrainerState = {model: noise(model), ema: noise(model), optimizer: {step: steps, slots}};
  const pieces: Uint8Array[] = [];
  writeCheckpoint({state, position, options, settings, lr: 0.05, metric: 71.5}, (bytes) => pieces.push(bytes.slice()));
  return {bytes: new Uint8Array(Buffer.concat(pieces)), state, settings};
}
const source = (bytes: Uint8Array) => bufferSource(bytes, 'last.pth.tar');
const get = (map: PlainData | undefined, key: PlainData) => (isMap(map) ? map.get(key) : undefined);

test.each(['sgd', 'nesterov', 'rmsprop', 'adamw'])('%s: through a file and back, bit for bit', (optimizer) => {
  const {bytes, state, settings} = written({optimizer});
  const read = readCheckpoint(source(bytes), model, settings);
  expect(read.position).toEqual(position);
  expect(read.state.model).toEqual(state.model);
  expect(read.state.ema).toEqual(state.ema);
  expect(read.state.optimizer?.slots).toEqual(state.optimizer.slots);
  if (optimizer === 'adamw' || optimizer === 'rmsprop') expect(read.state.optimizer?.step).toBe(5);
  expect(readWeights(source(bytes), model, {ema: true})).toEqual(state.ema);
});

test('the entries of the original, in its order; the network is recognised from them', () => {
  const {bytes, state} = written({arch: 'cifar-resnet20', orepa: 'true'});
  const checkpoint: Checkpoint = openCheckpoint(source(bytes));
  expect([...(checkpoint.root as Map<string, PlainData>).keys()]).toEqual([
    'epoch',
    'arch',
    'state_dict',
    'optimizer',
    'version',
    'args',
    'state_dict_ema',
    'metric',
    'gpd_position',
  ]);
  expect([...checkpoint.stateDict.keys()]).toEqual([...state.model.keys()]);
  expect(checkpoint.meta.get('version')).toBe(2);
  expect(checkpoint.args?.get('gpd_ratio')).toBe(2);
  expect(isKind(get(checkpoint.root, 'args'), 'namespace')).toBe(true);
  const {form} = recognise(checkpoint.stateDict, checkpoint.args);
  expect([form.ratio, form.orepa.size]).toEqual([2, 5]);
});

test('parameters are numbered through the groups, as PyTorch numbers them', () => {
  const groupsOf = (given: Partial<Record<OptionName, string>>) =>
    (get(get(openCheckpoint(source(written(given).bytes)).root, 'optimizer'), 'param_groups') as PlainData[]).map((group) => ({
      decay: get(group, 'weight_decay'),
      params: get(group, 'params') as number[],
    }));
  const [all] = groupsOf({});
  expect(all!.params).toEqual(all!.params.map((_, i) => i));
  const [none, some] = groupsOf({optimizer: 'adamw', decay: 'matrices', 'weight-decay': '0.05'});
  expect([none!.decay, some!.decay]).toEqual([0, 0.05]);
  expect([...none!.params, ...some!.params]).toEqual(all!.params);
});

test('a file of another network or optimiser is refused, and says what is wrong', () => {
  const {bytes, settings} = written({});
  const plain = initialState({arch, imageSize: 8, ratio: 1, orepa: false, seed: 0, compat: 'default'}).state;
  expect(() => readCheckpoint(source(bytes), plain, settings)).toThrow("last.pth.tar has no 'conv1.weight'");
  const adamw = {...settings, optimizer: {kind: 'adamw', betas: [0.9, 0.999], eps: 1e-8}} as const;
  expect(() => readCheckpoint(source(bytes), model, adamw)).toThrow("'conv1.weight_orepa_origin', has no exp_avg");
});

describeShared('goldens/convert/12e_full_saver', 'a checkpoint of the original saver', () => {
  test('goes on: weights, average, optimiser, epoch', () => {
    const path = shared('goldens/convert/12e_full_saver/checkpoint.pth.tar');
    const checkpoint = openCheckpoint(fileSource(path));
    const like: NamedTensors = new Map([...checkpoint.stateDict].map(([key, t]) => [key, t.read()]));
    const settings = {
      optimizer: {kind: 'sgd', momentum: 0.9, nesterov: false},
      decay: {kind: 'all', weightDecay: 1e-4},
    } as const;
    const {state, epoch, position: none} = readCheckpoint(fileSource(path), like, settings);
    expect(none).toBeUndefined();
    expect(epoch).toBe(checkpoint.meta.get('epoch'));
    expect([...state.model.keys()]).toEqual([...like.keys()]);
    expect(state.optimizer?.slots.get('momentum_buffer')?.size ?? 0).toBeGreaterThanOrEqual(0);
    for (const [key, t] of like) expect(toFloat64(state.model.get(key)!).data).toEqual(toFloat64(t).data);
  });
});
