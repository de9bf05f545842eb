/** Under whose names a network is stored, and where among others: prefixes by rule, name maps, and what lies beside. */
import {GpdError} from '../../src/core/error.js';
import type {TensorSource} from '../../src/core/tensor.js';
import {archs, families} from '../../src/models/families/index.js';
import {classifierOf} from '../../src/models/names/find-networks.js';
import {withoutTransparent} from '../../src/models/names/transparent-parts.js';
import {leftOut, type Recognised, type RecogniseOptions, recognise} from '../../src/models/recognise.js';
import {shapesOnly, sourceOfShape} from './shapes-only.js';

type Tensors = Map<string, TensorSource>;
const plain = (classes = 10): Tensors => new Map(shapesOnly(archs.resnet18.build(classes)));
const mapped = (tensors: Tensors, rename: (key: string) => string): Tensors =>
  new Map([...tensors].map(([key, source]) => [rename(key), source]));
const under = (prefix: string, tensors: Tensors = plain()): Tensors => mapped(tensors, (key) => prefix + key);
const having = (tensors: Tensors, entries: Record<string, number[]>): Tensors =>
  new Map([...tensors, ...Object.entries(entries).map(([key, shape]) => [key, sourceOfShape(shape)] as const)]);

function refusal(tensors: Tensors, options: RecogniseOptions = {}): GpdError {
  try {
    recognise(tensors, undefined, options);
  } catch (error) {
    if (error instanceof GpdError) return error;
    throw error;
  }
  throw new Error('nothing was refused');
}
const found = (r: Recognised, what: string) => r.evidence.find((e) => e.what === what)?.value;

describe('parts that say how a network was run', () => {
  test.each([
    ['module.conv1.weight', 'conv1.weight'],
    ['module.module.conv1.weight', 'conv1.weight'],
    ['module._orig_mod.conv1.weight', 'conv1.weight'],
    ['_orig_mod.module.conv1.weight', 'conv1.weight'],
    ['_fsdp_wrapped_module.layer1.0._fsdp_wrapped_module.conv1.weight', 'layer1.0.conv1.weight'],
    ['layer1.0._checkpoint_wrapped_module.conv1.weight', 'layer1.0.conv1.weight'],
    ['_forward_module._module.fc.bias', 'fc.bias'],
    ['my_module.fc.bias', 'my_module.fc.bias'],
    ['module_list.0.weight', 'module_list.0.weight'],
    ['modules.0.weight', 'modules.0.weight'],
    ['fc.module', 'fc.module'], // a tensor's own name
  ])('%s is %s', (key, name) => {
    expect(withoutTransparent(key)).toBe(name);
  });

  test('they are dropped before, twice and in the middle, of a part of the network or of all', () => {
    const tensors = mapped(plain(), (key) =>
      key.startsWith('layer2.') ? `module.module.${key.replace('.0.', '.0._orig_mod.')}` : `module.module.${key}`,
    );
    const r = recognise(tensors, undefined);
    expect([r.arch.name, r.prefix, found(r, 'left out of names')]).toEqual(['resnet18', '', 'module, _orig_mod']);
    expect(r.keys.map(({key}) => key)).toEqual([...tensors.keys()]);
  });

  test('a copy beside `module.*` is another network', () => {
    const both = new Map([...plain(), ...under('module.')]);
    expect(refusal(both)).toMatchObject({
      code: 'ARCH_AMBIGUOUS',
      hint: "say which is meant: gpd convert FILE --prefix '', or gpd convert FILE --prefix module.",
    });
    for (const prefix of ['', 'module.', 'module']) {
      const r = recognise(both, undefined, {prefix});
      expect(r.keys.filter(({use}) => use === 'both').map(({key}) => key.startsWith('module.'))).toEqual(
        new Array(102).fill(prefix !== ''),
      );
    }
  });
});

describe('the prefix under which a network stands', () => {
  test.each(families.map((family) => [family.name, family] as const))('%s under any wrapper', (_, {published}) => {
    const own = new Map(shapesOnly(Object.values(published)[0]!.build(7)));
    for (const prefix of ['model.', 'net.', 'timm_model.', 'a.b.0.']) {
      const r = recognise(under(prefix, own), undefined);
      expect([r.prefix, r.arch.classes, leftOut(r)]).toEqual([prefix, 7, []]);
      expect(r.keys[0]!.key).toBe(prefix + [...own.keys()][0]!);
    }
  });

  test.each(families.map((family) => [family.name, family] as const))('%s whose classifier lies beside', (_, family) => {
    const classifier = `${classifierOf(family)}.`;
    const own = new Map(shapesOnly(Object.values(family.published)[0]!.build(7)));
    const r = recognise(
      mapped(own, (key) => (key.startsWith(classifier) ? `head.fc.${key.slice(classifier.length)}` : `backbone.${key}`)),
      undefined,
    );
    expect([r.prefix, r.arch.classes, found(r, 'classifier'), leftOut(r)]).toEqual(['backbone.', 7, 'head.fc', []]);
    expect(r.fileKey(`${r.arch.last}.weight`)).toBe('head.fc.weight');
  });

  test('what training needs lies beside: it is left out with its reason, and results say so', () => {
    const r = recognise(
      having(under('model.'), {'criterion.weight': [10], 'val_acc.total': [], 'projector.0.weight': [4, 9]}),
      undefined,
    );
    expect(leftOut(r)).toEqual(['criterion.weight', 'projector.0.weight']);
    expect(Object.fromEntries(r.keys.filter(({use}) => use === 'ignored').map(({key, reason}) => [key, reason]))).toMatchObject(
      {
        'criterion.weight': 'most likely a loss',
        'val_acc.total': 'most likely a metric, one number',
        'projector.0.weight': "most likely a projector of a contrastive training, outside of 'model.'",
      },
    );
  });

  test.each([
    ['what is not known', {'gate.weight': [10]}, 'may take part'],
    ['half a normalisation', {'normalize.mean': [3]}, 'normalisation of the input'],
    ['a second head on the features', {'head.weight': [4, 512]}, 'a second head'],
    ['a second head on the logits', {'head.0.weight': [4, 9], 'head.1.weight': [5, 10]}, 'a second head'],
  ])('%s beside it is not left out in silence', (_, beside, what) => {
    expect(refusal(having(under('model.'), beside))).toMatchObject({
      code: 'KEY_UNKNOWN',
      hint: expect.stringContaining(what),
    });
  });

  test('a head that fits neither features nor logits is of another training', () => {
    expect(leftOut(recognise(having(under('backbone.'), {'head.mlp.0.weight': [4, 64]}), undefined))).toEqual([
      'head.mlp.0.weight',
    ]);
  });

  test('several networks: each is named with its flag, and each flag works', () => {
    const both = new Map([...under('student.'), ...under('teacher.', new Map(shapesOnly(archs.resnet34.build(10))))]);
    expect(refusal(both)).toMatchObject({
      code: 'ARCH_AMBIGUOUS',
      message: expect.stringContaining(
        "2 networks stand in it: 'student.' (ResNet, 122 tensors), 'teacher.' (ResNet, 218 tensors)",
      ),
      hint: 'say which is meant: gpd convert FILE --prefix student., or gpd convert FILE --prefix teacher.',
    });
    for (const [prefix, name] of [
      ['student.', 'resnet18'],
      ['student', 'resnet18'],
      ['module.teacher.', 'resnet34'],
    ] as const) {
      const r = recognise(both, undefined, {prefix});
      expect([r.arch.name, leftOut(r)]).toEqual([name, []]);
    }
    expect(refusal(both, {prefix: 'model.'})).toMatchObject({code: 'KEY_MISSING', hint: expect.stringContaining("'student.'")});
  });

  test('a contrastive encoder is only taken for a classifier where the user says so', () => {
    const tensors = under('module.encoder.');
    expect(refusal(tensors)).toMatchObject({
      code: 'ARCH_AMBIGUOUS',
      hint: 'if it tells classes apart: gpd convert FILE --prefix encoder.',
    });
    expect(recognise(tensors, undefined, {prefix: 'encoder.'}).arch.classes).toBe(10);
    const linear = mapped(tensors, (key) => key.replace('module.encoder.fc', 'module.classifier'));
    expect(recognise(linear, undefined).arch.classes).toBe(10);
  });

  test('a backbone alone, and one with a head of several layers, are no classifiers', () => {
    const backbone = new Map([...under('backbone.')].filter(([key]) => !key.startsWith('backbone.fc.')));
    expect(refusal(backbone)).toMatchObject({code: 'ARCH_UNKNOWN', message: expect.stringContaining('without a classifier')});
    const layers = {'head.0.weight': [64, 512], 'head.2.weight': [10, 64]};
    expect(refusal(having(backbone, layers))).toMatchObject({
      code: 'ARCH_UNKNOWN',
      message: expect.stringContaining('2 layers follow'),
    });
    const normalised = {'head.fc.weight': [10, 512], 'head.fc.bias': [10], 'head.norm.weight': [512], 'head.norm.bias': [512]};
    for (const ignore of [[], ['head.norm.*'], ['head.norm.weight', 'head.norm.bias']])
      expect(refusal(having(backbone, normalised), {ignore})).toMatchObject({code: 'KEY_UNKNOWN', at: 'head.norm.weight'});
  });
});

describe("other libraries' names", () => {
  const huggingFace = (key: string): string => {
    const [, stem, stemLeaf] = /^(conv|bn)1\.(.+)$/.exec(key) ?? [];
    const kind = {conv: 'convolution', bn: 'normalization'} as const;
    if (stem) return `resnet.embedder.embedder.${kind[stem as 'conv']}.${stemLeaf}`;
    const [, stage, block, layer, number, leaf] = /^layer(\d)\.(\d+)\.(conv|bn|downsample\.)(\d)\.(.+)$/.exec(key) ?? [];
    if (!layer) return key.replace('fc.', 'classifier.1.');
    const place = `resnet.encoder.stages.${Number(stage) - 1}.layers.${block}`;
    if (layer === 'downsample.') return `${place}.shortcut.${number === '0' ? 'convolution' : 'normalization'}.${leaf}`;
    return `${place}.layer.${Number(number) - 1}.${kind[layer as 'conv']}.${leaf}`;
  };
  test.each(['resnet18', 'resnet50'] as const)('%s of Hugging Face', (name) => {
    const tensors = mapped(new Map(shapesOnly(archs[name].build(5))), huggingFace);
    const r = recognise(tensors, undefined);
    expect([r.arch.name, r.arch.classes, found(r, 'names')]).toEqual([name, 5, "Hugging Face's names"]);
    expect(r.keys.map(({key}) => key)).toEqual([...tensors.keys()]);
  });

  const numbers: Readonly<Record<string, string>> = {conv1: '0', bn1: '1', layer1: '4', layer2: '5', layer3: '6', layer4: '7'};
  test.each([
    ['0.', '1.8.'],
    ['features.', 'fc.'],
    ['', '10.'],
  ])('children by number: %s with %s', (body, head) => {
    const r = recognise(
      mapped(plain(), (key) => key.replace(/^fc\./, head).replace(/^(conv1|bn1|layer\d)\./, (_, n) => `${body}${numbers[n]}.`)),
      undefined,
    );
    expect([r.arch.name, r.arch.classes, found(r, 'classifier')]).toEqual(['resnet18', 10, head.slice(0, -1)]);
  });

  test.each(families.flatMap((f) => (f.timmName ? [[f.name, f] as const] : [])))('%s of timm', (_, {published, timmName}) => {
    const [[name, network]] = Object.entries(published) as [[string, (typeof published)[string]]];
    const tensors = mapped(new Map(shapesOnly(network.build(6))), timmName!);
    const r = recognise(tensors, undefined);
    expect([r.arch.name, r.arch.classes, found(r, 'names')]).toEqual([name, 6, "timm's names"]);
    const squeezed = having(tensors, {'blocks.1.0.se.conv_reduce.weight': [4, 96, 1, 1]});
    expect(refusal(squeezed, {ignore: ['blocks.1.0.se.conv_reduce.weight']})).toMatchObject({
      code: 'KEY_UNKNOWN',
      hint: expect.stringContaining('squeeze-and-excitation'),
    });
  });
});
