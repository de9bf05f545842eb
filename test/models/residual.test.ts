/** ResNets in the forms that others have: heads, stems, shortcuts, groups. Each is held against another form of the same function. */
import * as tf from '@tensorflow/tfjs-core';
import '@tensorflow/tfjs-backend-cpu';
import {filled} from '../../fixtures/fill.js';
import {float64, type StateDict, sourceOf, type Tensor, type TensorSource, toFloat64, zeros} from '../../src/core/tensor.js';
import {archs, familyNamed} from '../../src/models/families/index.js';
import {resnet} from '../../src/models/families/resnet.js';
import type {Architecture} from '../../src/models/layers.js';
import {type RecogniseOptions, recognise} from '../../src/models/recognise.js';
import {runReference} from '../../src/models/reference.js';
import {runNetwork} from '../../src/models/taps.js';
import {manifestOf} from '../../src/models/walk.js';
import {parametersOf} from '../../src/reparam/parameters.js';
import {storedEntries} from '../../src/reparam/stored-tensors.js';
import {storedBatchNorm, tfjsLayers} from '../../src/train/step/networks/tfjs-layers.js';
import {tfjsOps} from '../../src/train/step/networks/tfjs-ops.js';
import {expectClose} from '../close.js';
import {renamed, shapesOnly} from './shapes-only.js';

const SIDE = 16;
const IMAGES = filled('images', 'input', [2, 3, SIDE, SIDE]).read();
const basic = resnet('resnet18', {block: 'basic', stem: 3, planes: [2, 2, 3, 4], depths: [2, 2, 2, 2], classes: 5});
const grouped = resnet('any', {
  block: 'bottleneck',
  stem: 3,
  planes: [2, 4, 4, 4],
  depths: [1, 1, 1, 1],
  wide: 2,
  groups: 2,
  classes: 5,
});

const weightsOf = (arch: Architecture): Map<string, TensorSource> =>
  new Map(storedEntries(manifestOf(arch).modules, 1, () => false).map(({key, shape}) => [key, filled('residual', key, shape)]));
const found = (stateDict: StateDict, options: RecogniseOptions = {}) =>
  recognise(stateDict, undefined, {imageSize: SIDE, ...options});
function logitsOf(stateDict: StateDict, options: RecogniseOptions = {}): Float64Array {
  const r = found(stateDict, options);
  return runReference(r.arch, r.stateDict, r.form, 'student', IMAGES).data;
}
const withNames = (stateDict: StateDict, rename: (key: string) => string) =>
  new Map([...stateDict].map(([key, source]) => [rename(key), source]));

describe('heads', () => {
  const plain = weightsOf(basic);
  test.each(['fc.1', 'classifier', 'head', 'last_linear', 'linear', 'classifier.3', 'head.fc'])(
    '%s is the classifier',
    (name) => {
      const stateDict = withNames(plain, (key) => key.replace(/^fc\./, `${name}.`));
      expect(found(stateDict).arch).toMatchObject({name: 'resnet18', last: name, classes: 5});
      expect(logitsOf(stateDict)).toEqual(logitsOf(plain));
    },
  );

  test('without a bias', () => {
    const [without, zero] = [new Map(plain), new Map(plain)];
    without.delete('fc.bias');
    zero.set('fc.bias', sourceOf(zeros('float32', [5])));
    expect(logitsOf(without)).toEqual(logitsOf(zero));
  });

  test('as a 1x1 convolution', () => {
    const weight = plain.get('fc.weight')!.read();
    const shape = [...weight.shape, 1, 1];
    const stateDict = new Map(plain).set('fc.weight', sourceOf({...weight, shape} as Tensor));
    expect(logitsOf(stateDict)).toEqual(logitsOf(plain));
    expect(found(stateDict).modules.find(({name}) => name === 'fc')).toMatchObject({pointwise: true});
  });
});

describe('stems', () => {
  const small = shapesOnly(archs['resnet18-3x3'].build());
  const sidesOf = (options: RecogniseOptions) => {
    const {records} = recognise(small, undefined, options);
    const first = records.find(({module}) => module?.name === 'layer1.0.conv1')!;
    return Math.sqrt(first.macs / (64 * 64 * 9));
  };

  test.each([
    [undefined, 32],
    ['1', 32],
    ['1+pool', 16],
    ['2', 16],
    ['2+pool', 8],
  ] as const)('--stem %s: the first stage has %i pixels a side', (stem, side) => expect(sidesOf({stem})).toBe(side));

  test('a 3x3 stem is of another family, with its own images, and says what was assumed', () => {
    const {arch, imageSize, evidence} = recognise(small, undefined);
    expect([arch.name, arch.family, imageSize]).toEqual(['resnet18-3x3', 'resnet-3x3', 32]);
    expect(evidence).toContainEqual({
      what: 'stem',
      value: '3x3, stride 1, no max pool',
      from: 'the convention: no tensor says it, see --stem',
    });
    expect(familyNamed('resnet18-3x3')!.recipe).toBe('cifar');
  });
});

describe('channels', () => {
  /** The first so many of the three channels. */
  function firstChannels(key: string, channels: number, stateDict: StateDict): Tensor {
    const {shape, data} = toFloat64(stateDict.get(key)!.read());
    const area = shape[2]! * shape[3]!;
    const rows = Array.from({length: shape[0]!}, (_, o) => [...data.subarray(o * 3 * area, (o * 3 + channels) * area)]);
    return float64([shape[0]!, channels, shape[2]!, shape[3]!], rows.flat()) as Tensor;
  }

  test.each([1, 2])('%i of three: as three of which the others count nothing', (channels) => {
    const [stored, whole] = [weightsOf(basic), weightsOf(basic)];
    const kernel = firstChannels('conv1.weight', channels, whole);
    stored.set('conv1.weight', sourceOf(kernel));
    const zero = toFloat64(whole.get('conv1.weight')!.read());
    const counts = zero.data.map((v, at) => (Math.floor(at / 49) % 3 < channels ? v : 0));
    whole.set('conv1.weight', sourceOf(float64(zero.shape, counts) as Tensor));
    const r = found(stored);
    const area = SIDE * SIDE;
    const all = toFloat64(IMAGES).data;
    const images = [0, 1].flatMap((n) => [...all.subarray(n * 3 * area, (n * 3 + channels) * area)]);
    const logits = runReference(r.arch, r.stateDict, r.form, 'student', float64([2, channels, SIDE, SIDE], images) as Tensor);
    expectClose(logits.data, logitsOf(whole), {atol: 1e-13, because: 'zeros are added in between'});
    expect(r.evidence).toContainEqual(expect.objectContaining({what: 'channels', value: String(channels)}));
  });

  test('more than any image has are refused', () => {
    const stateDict = shapesOnly(basic).set('conv1.weight', {
      ...shapesOnly(basic).get('conv1.weight')!,
      shape: [3, 5000, 7, 7],
    });
    expect(() => found(stateDict)).toThrow(/takes 5000 channels/);
  });
});

describe('shortcuts', () => {
  test('are projections under two names', () => {
    const plain = weightsOf(basic);
    const stateDict = withNames(plain, (key) => key.replace('.downsample.', '.shortcut.'));
    expect(logitsOf(stateDict)).toEqual(logitsOf(plain));
  });

  test('of CIFAR ResNets: projections where the file has them, also where the size stays', () => {
    const stateDict = shapesOnly(archs['cifar-resnet20'].build());
    const projections = new Map(stateDict);
    for (const [name, [out, input]] of [
      ['layer1.0', [16, 16]],
      ['layer2.0', [32, 16]],
      ['layer3.0', [64, 32]],
    ] as const) {
      const shapes = shapesOnly(archs['cifar-resnet20'].build());
      projections.set(`${name}.downsample.0.weight`, {...shapes.get('conv1.weight')!, shape: [out, input, 1, 1]});
      for (const leaf of ['weight', 'bias', 'running_mean', 'running_var'])
        projections.set(`${name}.downsample.1.${leaf}`, shapes.get(`layer${name[5]}.0.bn1.${leaf}`)!);
    }
    const {arch, modules} = recognise(projections, undefined);
    expect(arch.name).toBe('cifar-resnet20');
    expect(modules.filter(({name}) => name.includes('downsample'))).toHaveLength(6);
    expect(() => recognise(renamed(projections, 'layer2.0.downsample.0.weight', 'x.weight'), undefined)).toThrow(
      /layer2.0.downsample.0/,
    );
  });
});

/** The 3x3 kernels of groups as one kernel without groups, with zeros between the groups. */
function ungrouped(stateDict: StateDict, groups: number): StateDict {
  return new Map(
    [...stateDict].map(([key, source]) => {
      if (!/^layer\d\.0\.conv2\.weight$/.test(key)) return [key, source];
      const {shape, data} = toFloat64(source.read());
      const [out, perGroup] = shape as [number, number];
      const whole = zeros('float64', [out, perGroup * groups, 3, 3]);
      for (let o = 0; o < out; o++) {
        const group = Math.floor(o / (out / groups));
        const row = data.subarray(o * perGroup * 9, (o + 1) * perGroup * 9);
        whole.data.set(row, (o * groups + group) * perGroup * 9);
      }
      return [key, sourceOf(float64(whole.shape, whole.data) as Tensor)];
    }),
  );
}

describe('groups', () => {
  const stateDict = weightsOf(grouped);
  test('groups and width are read from shapes: a kernel in groups is one with zeros between them', () => {
    expect(found(stateDict).arch.name).toBe('resnet-bottleneck-1-1-1-1-groups2-wide2');
    expect(found(ungrouped(stateDict, 2)).arch.name).toBe('resnet-bottleneck-1-1-1-1-wide2');
    expectClose(logitsOf(stateDict), logitsOf(ungrouped(stateDict, 2)), {atol: 1e-13, because: 'zeros are added in between'});
  });

  test('in training, group by group', async () => {
    tf.env().set('IS_TEST', true); // TensorFlow.js prints no advice
    await tf.setBackend('cpu');
    const r = found(stateDict);
    const tensors = new Map(
      [...r.stateDict].map(([key, s]) => [
        key,
        tf.tensor(Float32Array.from(toFloat64(s.read()).data), [...s.shape], 'float32'),
      ]),
    );
    const parameters = parametersOf(tfjsOps, r.form, 'student', ({key}) => tensors.get(key)!);
    const x = tf.transpose(tf.tensor(Float32Array.from(toFloat64(IMAGES).data), [2, 3, SIDE, SIDE], 'float32'), [0, 2, 3, 1]);
    const y = runNetwork(r.arch, tfjsLayers(storedBatchNorm), parameters, x, SIDE);
    expectClose(y.dataSync(), logitsOf(stateDict), {atol: 1e-4, rtol: 1e-5, because: 'float32 layers against float64'});
  });
});

test('a deep stem is named', () => {
  const stateDict = withNames(weightsOf(basic), (key) => key.replace(/^conv1\./, 'conv1.0.'));
  expect(() => found(stateDict)).toThrow(/deep stem \('conv1.0'/);
});
