/** What a family says of itself fits together: its file is the only place that knows it. */

import {recipes} from '../../src/data/recipe.js';
import {archNames, archs, families, familyByShapes, familyNamed, familyOf} from '../../src/models/families/index.js';
import {type FoundNetwork, findNetworks} from '../../src/models/names/find-networks.js';
import {sizeReader} from '../../src/models/size-reader.js';
import {tapsOf} from '../../src/models/taps.js';
import {shapesOnly} from './shapes-only.js';

test.each(archNames)('%s is read from the shapes of its own tensors, by its own family', (name) => {
  const stateDict = shapesOnly(archs[name].build());
  const [found] = findNetworks(stateDict) as [FoundNetwork];
  const family = familyByShapes(found.family, stateDict);
  expect(family.read(sizeReader(stateDict, 1)).name).toBe(name);
  expect([familyNamed(name), familyOf(archs[name].build())]).toEqual([family, family]);
  expect(stateDict.get(`${family.stem.module}.weight`)!.shape[0]).toBe(family.stem.width);
  expect(Object.keys(recipes)).toContain(family.recipe);
});

test.each(archNames)('%s has five features for ReviewKD, no map larger than the one before', (name) => {
  const arch = archs[name].build();
  for (const activated of [false, true]) {
    const sides = tapsOf(arch, arch.imageSize, activated).map(({side}) => side);
    expect(sides).toHaveLength(name.startsWith('cifar') ? 4 : 5);
    expect(sides).toEqual([...sides].sort((a, b) => b - a));
  }
});

test.each(families.filter((family) => family.timmName))(
  '$name: timm calls every tensor by another name',
  ({published, timmName}) => {
    for (const name of Object.keys(published) as (typeof archNames)[number][]) {
      const keys = [...shapesOnly(archs[name].build()).keys()].map(timmName!);
      expect(new Set(keys).size).toBe(keys.length);
      expect(
        keys.filter((key) => !/^(conv_stem|conv_head|bn\d|blocks\.\d\.\d\.(conv_(dw|pwl?)|bn\d)|classifier)\.\w+$/.test(key)),
      ).toEqual([]);
    }
  },
);

test('a name that begins with another is not the other', () => {
  expect(familyNamed('mobilenet_v2')?.title).toBe('MobileNetV2');
  expect(familyNamed('mobilenet')?.title).toBe('MobileNet v1');
  expect(familyNamed('resnet-basic-2-2-2-3')?.title).toBe('ResNet');
  expect(familyNamed('vgg16')).toBeUndefined();
});
