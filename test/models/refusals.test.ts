/** What is not a known network, or leaves open which: the error says where, and what to do. */

import {reducedNetworks} from '../../fixtures/networks.js';
import {GpdError} from '../../src/core/error.js';
import {float32, type StateDict, sourceOf} from '../../src/core/tensor.js';
import {archs} from '../../src/models/families/index.js';
import {leftOut, type RecogniseOptions, recognise} from '../../src/models/recognise.js';
import {matchesGlob} from '../../src/models/unknown-keys.js';
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

  test('an unknown one of a layer is refused, whatever is to be ignored', () => {
    const stateDict = plain().set('layer1.0.bn1.momentum', sourceOfShape([1]));
    expectRefusal(refusal(stateDict), 'KEY_UNKNOWN', `not resnet18: 'layer1.0.bn1.momentum' has no place`, 'another network');
    for (const ignore of ['*', 'layer1.*', 'layer1.0.bn1.momentum'])
      expectRefusal(refusal(stateDict, {ignore: [ignore]}), 'KEY_UNKNOWN', 'lies inside the network and cannot be ignored', '');
  });

  test('what a profiler leaves behind is harmless', () => {
    const {keys} = recognise(plain().set('layer1.total_ops', sourceOfShape([1])), undefined);
    expect(keys.at(-1)).toEqual({key: 'layer1.total_ops', use: 'ignored', reason: 'left behind by a profiler'});
    expect(refusal(plain().set('layer1.0.total_ops', sourceOfShape([64, 64, 3, 3]))).code).toBe('KEY_UNKNOWN');
  });

  test('a foreign key beside a ReviewKD student', () => {
    const wrapped = new Map([...plain()].map(([key, source]) => [`student.${key}`, source]));
    expect(recognise(wrapped, undefined).reviewKd).toBe(false);
    wrapped.set('abfs.0.conv1.0.weight', sourceOfShape([1]));
    expect(recognise(wrapped, undefined).reviewKd).toBe(true);
    wrapped.set('something.weight', sourceOfShape([1]));
    expectRefusal(refusal(wrapped), 'KEY_UNKNOWN', `'something.weight'`, `To go on without: --ignore 'something.*'`);
    expect(leftOut(recognise(wrapped, undefined, {ignore: ['something.*']}))).toEqual(['something.weight']);
  });

  test('both a plain kernel and its branches', () => {
    const stateDict = gpd().set('layer1.0.conv1.weight', sourceOfShape([128, 128, 3, 3]));
    expectRefusal(refusal(stateDict), 'KEY_UNKNOWN', `'layer1.0.conv1.weight'`, 'more tensors of a layer');
  });
});

describe('tensors that the network does not have', () => {
  const having = (...keys: string[]): StateDict =>
    new Map([...plain(), ...keys.map((key) => [key, sourceOfShape([8])] as const)]);

  test.each([
    ['layer2.0.shortcut.0.weight', 'projection shortcuts'],
    ['layer1.0.se.fc1.weight', 'squeeze-and-excitation'],
    ['layer3.1.cbam.ca.fc.0.weight', 'attention'],
    ['layer2.0.downsample.0.conv.weight', 'projection shortcuts'],
    ['layer1.0.conv1.lora_A', 'adapters'],
    ['layer1.0.relu.weight', 'PReLU'],
    ['relu.weight', 'PReLU'],
    ['maxpool.1.filt', 'blur filters'],
    ['avgpool.p', 'pooling with parameters'],
    ['layer5.0.conv1.weight', 'more layers'],
    ['bn2.running_mean', 'more layers'],
    ['conv1.0.weight', 'more layers'],
    ['bn1.weight_extra', 'more tensors of a layer'],
    ['fc.weight_g', 'more tensors of a layer'],
  ])('%s is inside: %s', (key, what) => {
    for (const ignore of [[], ['*'], [key]])
      expectRefusal(refusal(having(key), {ignore}), 'KEY_UNKNOWN', `this is not resnet18: '${key}'`, what);
  });

  test.each([
    ['mean', 'normalisation of the input'],
    ['std', 'normalisation of the input'],
    ['pixel_mean', 'normalisation of the input'],
    ['normalize.mean', 'normalisation of the input'],
    ['normalizer.scale', 'normalisation of the input'],
    ['norm_layer.std', 'normalisation of the input'],
    ['feature_extractor.normalize.mean', 'normalisation of the input'],
    ['input_bn.weight', 'normalisation of the input'],
    ['logit_scale', 'a factor of the logits'],
    ['head_dist.weight', 'a second head'],
    ['cbam.ca.fc.0.weight', 'an attention block'],
    ['sa.conv1.weight', 'an attention block'],
    ['bottleneck.running_mean', 'a neck'],
    ['pos_embed', 'an embedding of positions'],
    ['fc_norm.weight', 'a neck'],
  ])('%s acts on the answers: only its full name leaves it out', (key, what) => {
    for (const ignore of [[], ['*'], [`${key.slice(0, 3)}*`]])
      expectRefusal(refusal(having(key), {ignore}), 'KEY_UNKNOWN', `resnet18 has no place for '${key}'`, what);
    expectRefusal(refusal(having(key)), 'KEY_UNKNOWN', '', `--ignore ${key}`);
    expect(leftOut(recognise(having(key), undefined, {ignore: [key]}))).toEqual([key]);
  });

  test('a factor for each colour is taken for a normalisation, whatever its name', () => {
    const stateDict = new Map([...plain(), ['whiten', sourceOfShape([1, 3, 1, 1])] as const]);
    expectRefusal(refusal(stateDict, {ignore: ['*']}), 'KEY_UNKNOWN', 'whiten', 'normalisation of the input');
    const connector = new Map([...plain(), ['connector.weight', sourceOfShape([8, 3, 1, 1])] as const]);
    expect(leftOut(recognise(connector, undefined, {ignore: ['connector.*']}))).toEqual(['connector.weight']);
  });

  test.each([
    ['aux_head.0.weight', 'an auxiliary head', 'aux_head.*'],
    ['connector.0.weight', 'a connector of a distillation', 'connector.*'],
    ['feature_proj.weight', 'a connector of a distillation', 'feature_proj.*'],
    ['teacher.norm.weight', 'a teacher', 'teacher.*'],
    ['projector.0.weight', 'a projector of a contrastive training', 'projector.*'],
    ['queue_ptr', 'a queue of a contrastive training', 'queue_ptr'],
    ['something.else', 'not known here and may take part in the computation', 'something.*'],
  ])('%s lies beside: %s', (key, what, pattern) => {
    const flag = pattern.includes('*') ? `--ignore '${pattern}'` : `--ignore ${pattern}`;
    expectRefusal(refusal(having(key)), 'KEY_UNKNOWN', `'${key}'`, flag);
    expectRefusal(refusal(having(key)), 'KEY_UNKNOWN', '', what);
    const recognised = recognise(having(key), undefined, {ignore: [pattern]});
    expect(leftOut(recognised)).toEqual([key]);
    expect(recognised.keys.at(-1)).toEqual({
      key,
      use: 'ignored',
      reason: `left out by --ignore ${pattern}`,
      leftOutBy: `--ignore ${pattern}`,
    });
  });

  test.each([
    ['train_metrics.mean_value', 'a metric'],
    ['criterion.weight', 'a loss'],
    ['optimizer.exp_avg', 'state of an optimiser or of averaging'],
  ])('%s serves training: it is left out, and said', (key, what) => {
    const recognised = recognise(having(key), undefined);
    expect(leftOut(recognised)).toEqual([key]);
    expect(recognised.keys.at(-1)).toMatchObject({key, use: 'ignored', reason: `most likely ${what}`});
  });

  test.each([
    ['n_averaged', 'counts averaged weights'],
    ['train_acc.total', 'most likely a metric, one number'],
  ])('%s is one number that counts', (key, reason) => {
    const recognised = recognise(new Map([...plain(), [key, sourceOfShape([])] as const]), undefined);
    expect(leftOut(recognised)).toEqual([]);
    expect(recognised.keys.at(-1)).toEqual({key, use: 'ignored', reason});
  });

  test('what no pattern names is refused, and a pattern that names nothing too', () => {
    const both = having('aux_head.weight', 'connector.weight');
    expectRefusal(refusal(both, {ignore: ['aux*']}), 'KEY_UNKNOWN', `'connector.weight'`, 'connector');
    expectRefusal(
      refusal(both, {ignore: ['*', 'tail.*']}),
      'KEY_MISSING',
      '--ignore tail.* names no tensor',
      'aux_head.weight',
    );
    expectRefusal(
      refusal(plain(), {ignore: ['fc.*']}),
      'KEY_MISSING',
      '--ignore fc.* names no tensor',
      'no tensor is left over',
    );
  });

  test('patterns: * is any characters, everything else is itself', () => {
    const yes = [
      ['a.b', 'a.b'],
      ['a.*', 'a.b.c'],
      ['*', ''],
      ['*.weight', 'a.weight'],
      ['a*c*e', 'abcde'],
      ['a**', 'a'],
    ] as const;
    const no = [
      ['a.b', 'axb'],
      ['a.*', 'b.a.c'],
      ['ab*ba', 'aba'],
      ['a*c*c', 'abc'],
      ['', 'a'],
      ['A', 'a'],
    ] as const;
    expect(yes.filter(([pattern, key]) => !matchesGlob(pattern, key))).toEqual([]);
    expect(no.filter(([pattern, key]) => matchesGlob(pattern, key))).toEqual([]);
    expect(matchesGlob('a*'.repeat(2000), 'a'.repeat(3000))).toBe(true); // at once: nothing is tried twice
  });
});

describe('variances that cannot be', () => {
  test.each([
    [-1, 'a variance is never negative'],
    [Math.fround(-1e-5), 'a variance is never negative'],
    [Number.NaN, 'a variance is a finite number'],
    [Number.POSITIVE_INFINITY, 'a variance is a finite number'],
  ])('%d: the tensor is named', (value, problem) => {
    for (const [stateDict, key] of [
      [plain(), 'layer2.1.bn2.running_var'],
      [gpd(), 'bn1.tiny_running_var'],
    ] as const) {
      const {shape} = stateDict.get(key)!;
      const values = new Float32Array(shape[0]!).fill(1);
      values[3] = value;
      stateDict.set(key, sourceOf(float32(shape, values)));
      expectRefusal(
        refusal(stateDict),
        'WEIGHTS_NOT_FINITE',
        `'${key}' has ${value} at element 3: ${problem}`,
        'earlier checkpoint',
      );
    }
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

describe('networks that are others', () => {
  const of = (...keys: (string | [string, number[]])[]): StateDict =>
    new Map(keys.map((key) => (typeof key === 'string' ? [key, sourceOfShape([4])] : [key[0], sourceOfShape(key[1])])));

  test.each([
    [['cls_token', 'pos_embed', 'blocks.0.attn.qkv.weight'], 'a vision transformer', 'known are ResNet'],
    [['model.visual.conv1.weight', 'model.logit_scale'], 'a CLIP', 'known are'],
    [['stage0.rbr_dense.conv.weight'], 'a RepVGG', 'not read yet'],
    [['module.stage1.0.conv1.weight_orepa_origin'], 'a network of the OREPA repository', 'not read yet'],
    [['_fsdp_wrapped_module._flat_param'], 'a network flattened by FSDP', 'FULL_STATE_DICT'],
    [['features.0.weight', 'features.3.weight', 'classifier.6.weight'], 'a VGG', 'known are'],
    [['base_model.model.layer1.lora_A.weight'], 'an adapter', 'merge_and_unload'],
    [['lstm.weight_ih_l0'], 'a recurrent network', 'known are'],
  ])('%j', (keys, what, hint) => {
    expectRefusal(refusal(of(...keys)), 'ARCH_UNKNOWN', `most likely it is ${what}`, hint);
  });

  test('one that nobody knows: what is there, and what it is nearest to', () => {
    const strange = of(['body.stem.weight', [64, 3, 3, 3]], ['body.norm.weight', [64]], ['body.out.weight', [10, 64]]);
    expectRefusal(
      refusal(strange),
      'ARCH_UNKNOWN',
      '1 convolution (the first [64, 3, 3, 3]), 1 normalisation, 1 linear layer (the last [10, 64])',
      'known are',
    );
    const cut = new Map([...plain()].filter(([key]) => !key.startsWith('layer4.') && !key.startsWith('layer3.0.')));
    expect(refusal(cut).hint).toMatch(/nearest is ResNet, \d+ of whose 41 layers it has by name/);
  });

  test('normalisations without statistics are of another kind, or parameters alone were saved', () => {
    const parameters = new Map([...plain()].filter(([key]) => !/running_|num_batches/.test(key)));
    expectRefusal(refusal(parameters), 'KEY_MISSING', "no running statistics: there is no 'bn1.running_mean'", 'GroupNorm');
    parameters.set('layer1.0.bn1.running_var', sourceOfShape([64]));
    expectRefusal(refusal(parameters), 'KEY_MISSING', 'and 38 more tensors', '');
  });

  test.each([
    ['layer2.1.conv1.weight', [100, 128, 3, 3], "'layer2.0.conv1' has 128 outputs, 'layer2.1.conv1' has 100"],
    ['layer1.0.conv1.weight', [48, 64, 3, 3], "'layer1.0.conv1' has 48 outputs, 'layer1.0.conv2' has 64"],
  ])('channels cut from %s', (key, shape, message) => {
    expectRefusal(refusal(plain().set(key, sourceOfShape(shape))), 'SHAPE_MISMATCH', message, 'export it to ONNX');
  });

  test('a head of several layers', () => {
    const stateDict = new Map([...plain()].filter(([key]) => !key.startsWith('fc.')));
    stateDict.set('fc.0.weight', sourceOfShape([16, 512])).set('fc.3.weight', sourceOfShape([10, 16]));
    expectRefusal(
      refusal(stateDict),
      'ARCH_UNKNOWN',
      "2 layers follow the network, and a classifier is one: 'fc.0.weight'",
      'one linear',
    );
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
