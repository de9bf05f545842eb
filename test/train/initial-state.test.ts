/** Where a run starts: the original's names, shapes and order; student and dynamic teacher compute what the plain student does. */
import {reducedNetworks} from '../../fixtures/networks.js';
import {openCheckpoint} from '../../src/checkpoint/open.js';
import {fileSource} from '../../src/core/bytes.js';
import {compare, describeDifference} from '../../src/core/compare.js';
import {random} from '../../src/core/random.js';
import {float64, type StateDict, sourceOf, type Tensor} from '../../src/core/tensor.js';
import {archs} from '../../src/models/families/index.js';
import {recognise} from '../../src/models/recognise.js';
import {runReference} from '../../src/models/reference.js';
import type {Role} from '../../src/reparam/parameters.js';
import {type Initial, initialState} from '../../src/train/run/initial-state.js';
import {fusionModules, reviewKdSize} from '../../src/train/step/losses/review-kd.js';
import {describeShared, shared, sharedCases} from '../shared.js';

const asStateDict = (state: ReadonlyMap<string, Tensor>): StateDict =>
  new Map([...state].map(([key, tensor]) => [key, sourceOf(tensor)]));
const layout = (state: ReadonlyMap<string, {dtype: string; shape: readonly number[]}>) =>
  [...state].map(([key, {dtype, shape}]) => `${key} ${dtype}[${shape}]`);

const {resnet18, resnet50, mobilenet, rvt, cifarResnet20} = reducedNetworks;
const networks = [
  {arch: resnet18, imageSize: 24},
  {arch: resnet50, imageSize: 24},
  {arch: mobilenet, imageSize: 193},
  {arch: rvt, imageSize: 48},
  {arch: cifarResnet20, imageSize: 12},
];

describe.each(networks)('$arch.name', ({arch, imageSize}) => {
  const common = {arch, imageSize, seed: 5, compat: 'default'} as const;
  const r = random('images');
  const images = float64(
    [1, 3, imageSize, imageSize],
    Float64Array.from({length: 3 * imageSize ** 2}, () => r.normal()),
  );
  const logits = ({form, state}: Initial, role: Role) => runReference(arch, asStateDict(state), form, role, images);
  const plain = initialState({...common, ratio: 1, orepa: false});

  test.each([
    [2, false],
    [3, true],
  ])('at ratio %i, branches %p, both networks compute what the pretrained student does', (ratio, orepa) => {
    const pretrained = plain.state;
    const widened = initialState({...common, ratio, orepa, pretrained});
    const expected = logits(plain, 'student');
    for (const role of ['student', 'teacher'] as const) {
      const difference = compare(logits(widened, role).data, expected.data, {
        rtol: 1e-3,
        because: 'noise of 1e-6 on every copy, through batch norms that amplify',
      });
      expect(difference.ok ? '' : `${role}: ${describeDifference(difference)}`).toBe('');
    }
  });

  test('one seed gives the same weights, another one others', () => {
    const state = (seed: number) => initialState({...common, seed, ratio: 2, orepa: true}).state;
    expect(state(5)).toEqual(state(5));
    expect(state(6)).not.toEqual(state(5));
  });
});

test('weights have the spread of their initialisation', () => {
  const {state} = initialState({
    arch: archs['cifar-resnet20'].build(),
    imageSize: 32,
    ratio: 1,
    orepa: true,
    seed: 1,
    compat: 'default',
  });
  const deviation = (key: string) => {
    const {data} = state.get(key)!;
    return Math.sqrt([...(data as Float32Array)].reduce((sum, v) => sum + v * v, 0) / data.length);
  };
  // Uniform within √(6/fan) and normal with √(2/fan) have one deviation; 9,216 and 4,608 numbers give it within 2 %.
  for (const [key, fan] of [
    ['layer2.1.conv1.weight_orepa_1x1', 288],
    ['layer2.1.conv1.weight_orepa_origin', 288],
    ['layer2.0.conv1.weight', 144],
    ['layer2.1.conv1.weight_orepa_gconv_dw', 9],
  ] as const)
    expect(Math.abs(deviation(key) / Math.sqrt(2 / fan) - 1)).toBeLessThan(0.05);
});

describeShared('goldens/train', 'the original’s initial states', () => {
  test.each(sharedCases('goldens/train', /^[A-I]\d?_/))('%s: names, shapes and order', (name) => {
    const open = (file: string) => openCheckpoint(fileSource(shared('goldens/train', name, file)));
    const {stateDict} = open('init.pth.tar');
    const heads = name.includes('rvt') ? [2, 4] : undefined;
    const isBaseline = name.startsWith('I');
    const {arch, form, imageSize} = recognise(stateDict, undefined, {heads, ...(!isBaseline && {ratio: 2})});
    const review = name.includes('reviewkd') ? recognise(open('teacher.pth').stateDict, undefined, {heads: [4]}) : undefined;
    const size = review && reviewKdSize(arch, review.arch, imageSize);
    const mid = stateDict.get('abfs.0.conv1.0.weight')?.shape[0];
    const {state} = initialState({
      ...{arch, imageSize, ratio: form.ratio, orepa: form.orepa.size > 0, seed: 0, compat: 'reference'},
      connectors: size && [fusionModules({...size, mid: mid!})],
    });
    expect(layout(state)).toEqual(layout(stateDict));
  });
});
