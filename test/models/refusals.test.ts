/** What is not a known network, or leaves open which: the error says where, and what to do. */

import {reducedNetworks} from '../../fixtures/networks.js';
import {GpdError} from '../../src/core/error.js';
import type {StateDict} from '../../src/core/tensor.js';
import {archs} from '../../src/models/families/index.js';
import {type RecogniseOptions, recognise} from '../../src/models/recognise.js';
import {renamed, shapesOnly, sourceOfShape} from './shapes-only.js';

type Args = Readonly<Record<string, unknown>>;

function refusal(stateDict: StateDict, options: RecogniseOptions = {}, args?: Args): GpdError {
  try {
    recognise(stateDict, args && new Map(Object.entries(args)), options);
  } catch (error) {
    if (error instanceof GpdError) return error;
    throw error;
  }
  throw new Error('nothing was refused');
}
const expectRefusal = (error: GpdError, code: string, message: string, hint: string) =>
  expect([error.code, error.message, error.hint]).toEqual([
    code,
    expect.stringContaining(message),
    expect.stringContaining(hint),
  ]);

const gpd = () => shapesOnly(archs.resnet18.build(), {ratio: 2, orepa: true});
const plain = () => shapesOnly(archs.resnet18.build());

describe('keys', () => {
  test('a missing one is named', () => {
    const stateDict = gpd();
    stateDict.delete('layer2.0.bn2.tiny_running_var');
    const error = refusal(stateDict);
    expectRefusal(error, 'KEY_MISSING', `no 'layer2.0.bn2.tiny_running_var', which`, 'save it again');
    expect(error.data).toEqual({missing: ['layer2.0.bn2.tiny_running_var']});
  });

  test('of many missing ones the first is named, and all are listed', () => {
    const stateDict = plain();
    for (const key of [...stateDict.keys()]) if (key.startsWith('layer3.1.')) stateDict.delete(key);
    stateDict.set('layer3.1.conv1.weight', sourceOfShape([256, 256, 3, 3]));
    const error = refusal(stateDict);
    expectRefusal(error, 'KEY_MISSING', `'layer3.1.bn1.weight' and 8 more tensors`, '');
    expect(error.data!['missing']).toHaveLength(9); // 3 + 6: counters of batches are optional
  });

  test.each([
    ['layer1.0.conv1.weight', 'layer1.0.conv1.weigth'],
    ['layer4.1.bn2.running_var', 'layer4.1.bn2.running_vra'],
    ['fc.bias', 'fc.bais'],
  ])('%s, misspelt: the nearest is named', (key, misspelt) => {
    expectRefusal(refusal(renamed(plain(), key, misspelt)), 'KEY_MISSING', `'${key}'`, `'${misspelt}'`);
  });

  test('a part of an OREPA convolution is missing', () => {
    const key = 'layer1.0.conv1.weight_orepa_gconv_dw';
    const stateDict = gpd();
    stateDict.delete(key);
    expectRefusal(refusal(stateDict), 'KEY_MISSING', `'${key}'`, '');
  });

  test('an unknown one is refused, or ignored when asked', () => {
    const stateDict = plain().set('layer1.0.bn1.momentum', sourceOfShape([1]));
    expectRefusal(refusal(stateDict), 'KEY_UNKNOWN', `'layer1.0.bn1.momentum'`, '--ignore-unknown');
    const {keys} = recognise(stateDict, undefined, {ignoreUnknown: true});
    const found = keys.find(({key}) => key === 'layer1.0.bn1.momentum');
    expect(found).toEqual({key: 'layer1.0.bn1.momentum', use: 'ignored', reason: 'unknown, ignored as asked'});
  });

  test('what a profiler leaves behind is harmless', () => {
    const {keys} = recognise(plain().set('layer1.total_ops', sourceOfShape([1])), undefined);
    expect(keys.at(-1)).toEqual({key: 'layer1.total_ops', use: 'ignored', reason: 'left behind by a profiler'});
  });

  test('a foreign key beside a ReviewKD student', () => {
    const wrapped = new Map([...plain()].map(([key, source]) => [`student.${key}`, source]));
    expect(recognise(wrapped, undefined).reviewKd).toBe(true);
    wrapped.set('teacher.fc.weight', sourceOfShape([1]));
    expectRefusal(refusal(wrapped), 'KEY_UNKNOWN', `'teacher.fc.weight'`, 'abfs');
  });

  test('both a plain kernel and its branches', () => {
    const stateDict = gpd().set('layer1.0.conv1.weight', sourceOfShape([128, 128, 3, 3]));
    expectRefusal(refusal(stateDict), 'KEY_UNKNOWN', `'layer1.0.conv1.weight'`, '--ignore-unknown');
  });
});

describe('shapes', () => {
  test('one that is wrong', () => {
    const error = refusal(plain().set('layer3.0.bn1.weight', sourceOfShape([257])));
    expectRefusal(error, 'SHAPE_MISMATCH', `'layer3.0.bn1.weight' is [257], the network needs [256]`, 'damaged');
  });
  test('another rank', () => {
    const error = refusal(plain().set('fc.bias', sourceOfShape([1000, 1])));
    expectRefusal(error, 'SHAPE_MISMATCH', `'fc.bias' is [1000, 1], the network needs [1000]`, '');
  });
  test('branches where there can be none', () => {
    const stateDict = renamed(plain(), 'layer2.0.conv1.weight', 'layer2.0.conv1.weight_orepa_origin');
    expectRefusal(refusal(stateDict, {}), 'SHAPE_MISMATCH', `'layer2.0.conv1' is stored as OREPA branches`, '');
  });
});

describe('what nothing says', () => {
  const {resnet18, rvt, mobilenet} = reducedNetworks;
  const narrow = () => shapesOnly(resnet18, {ratio: 2});

  test('no known network', () => {
    const stateDict = new Map([['encoder.weight', sourceOfShape([3, 3])]]);
    expectRefusal(refusal(stateDict), 'ARCH_UNKNOWN', 'encoder.weight', 'known are ResNet');
    expect(refusal(new Map()).code).toBe('ARCH_UNKNOWN');
  });
  test('the ratio of a reduced network without training options', () => {
    expectRefusal(refusal(narrow()), 'ARCH_AMBIGUOUS', 'conv1 has 6 channels', '--ratio N');
    expect(recognise(narrow(), undefined, {ratio: 2}).form.ratio).toBe(2);
  });
  test('the heads of an RVT of unpublished widths', () => {
    expectRefusal(refusal(shapesOnly(rvt)), 'ARCH_AMBIGUOUS', 'widths 4, 8', '--heads N,N');
  });
  test.each([[[2]], [[3, 4]], [[2, 4, 8]], [[0, 4]], [[-2, 4]], [[0.5, 4]], [[Number.NaN, 4]]])(
    'heads %j do not fit',
    (heads) => {
      expectRefusal(refusal(shapesOnly(rvt), {heads}), 'SHAPE_MISMATCH', 'do not divide', '--heads takes 2 numbers');
    },
  );
  test.each([32, 192, 417, 0, -224, 224.5, Number.NaN])('MobileNet at %f pixels', (imageSize) => {
    expectRefusal(refusal(shapesOnly(mobilenet), {imageSize}), 'SHAPE_MISMATCH', String(imageSize), '--image-size');
  });
  test('masks for fewer tokens than the image has', () => {
    const options = {imageSize: 240};
    expectRefusal(refusal(shapesOnly(archs.rvt_tiny_plus.build()), options), 'SHAPE_MISMATCH', '196 tokens', '--image-size');
  });
});

describe('options that contradict the file', () => {
  test.each([
    ['resnet50', 'resnet18', 'leave --arch out'],
    ['resnet81', 'resnet18', 'did you mean resnet18'],
    ['mobilenet', 'resnet18', 'leave --arch out'],
  ])('--arch %s', (arch, found, hint) => {
    expectRefusal(refusal(plain(), {arch}), 'ARCH_AMBIGUOUS', found, hint);
  });
  test('--ratio on a network that was not widened', () => {
    expectRefusal(refusal(plain(), {ratio: 2}), 'ARCH_AMBIGUOUS', 'was not widened', 'leave --ratio out');
    expect(recognise(plain(), undefined, {ratio: 1}).form.ratio).toBe(1);
  });
  test('--ratio and the training options disagree', () => {
    expectRefusal(refusal(gpd(), {ratio: 4}, {gpd_ratio: 2}), 'ARCH_AMBIGUOUS', 'gpd_ratio 2', 'leave --ratio out');
  });
  test('a ratio that does not divide the widths', () => {
    expectRefusal(refusal(gpd(), {ratio: 3}), 'SHAPE_MISMATCH', 'which ratio 3 does not divide', '--ratio');
  });
  test.each([0, -2, 1.5, 1, Number.NaN, 1e9])('a ratio of %d', (ratio) => {
    for (const error of [refusal(gpd(), {ratio}), refusal(gpd(), {}, {gpd_ratio: ratio})])
      expect([error.code, error.hint]).toEqual([expect.any(String), expect.stringContaining('--ratio')]);
  });
});
