/**
 * Inverse reparameterisation, whole networks: extracting the student of an expanded network gives the student back, and the
 * expanded network computes what the student computes, in both roles.
 */
import {reducedNetworks} from '../../fixtures/networks.js';
import {float64, type StateDict, sourceOf, type Tensor} from '../../src/core/tensor.js';
import {resnet} from '../../src/models/families/resnet.js';
import {rvt} from '../../src/models/families/rvt.js';
import type {Architecture} from '../../src/models/layers.js';
import {runReference} from '../../src/models/reference.js';
import {manifestOf} from '../../src/models/walk.js';
import {expandModule} from '../../src/reparam/expand.js';
import {isOrepaCandidate, type Module} from '../../src/reparam/modules.js';
import {type GpdForm, tensorUse} from '../../src/reparam/parameters.js';
import {keyOf, storedTensors} from '../../src/reparam/stored-tensors.js';
import {expectClose} from '../close.js';
import {randomTensor, randomVariance, streamOf} from './naive.js';

const {resnet50, mobilenet, cifarResnet20} = reducedNetworks;
const shallow = (name: string, block: 'basic' | 'bottleneck') =>
  resnet(name, {block, stem: 3, planes: [2, 3, 3, 4], depths: [2, 1, 1, 1], classes: 5});
const stages = (mlp: 'conv' | 'linear') => [
  {dim: 4, heads: 2, depth: 1, hidden: 9, mlp},
  {dim: 8, heads: 2, depth: 1, hidden: 7, mlp},
];
const vision = (mlp: 'conv' | 'linear') =>
  rvt(`rvt-${mlp}`, {stem: 5, stages: stages(mlp), patch: 4, masked: {blocks: 0, tokens: 0}, classes: 5});

const networks: readonly [arch: Architecture, imageSize: number][] = [
  [shallow('resnet-basic', 'basic'), 40],
  [shallow('resnet-bottleneck', 'bottleneck'), 40],
  [resnet50, 32],
  [mobilenet, 193],
  [cifarResnet20, 20],
  [vision('conv'), 96],
  [vision('linear'), 96],
];
const cases = networks.flatMap(([arch, size]) =>
  (arch === mobilenet ? [2, 3] : [2, 3, 4]).flatMap((ratio) =>
    [false, true].map((orepa) => [arch.name, ratio, orepa ? 'with' : 'without', {arch, size, ratio, orepa}] as const),
  ),
);

const formOf = (modules: readonly Module[], ratio: number, orepa: boolean): GpdForm => ({
  ratio,
  orepa: new Set(modules.filter((m) => orepa && m.kind === 'conv' && isOrepaCandidate(m)).map((m) => m.name)),
  present: (key) => !key.endsWith('num_batches_tracked') && !key.endsWith('.bias'),
  unfilledStatistics: new Set(),
});
const storage = (form: GpdForm, m: Module) => ({ratio: form.ratio, orepa: form.orepa.has(m.name)});

/** Weights of the size that keeps activations in range, everything off its default. */
function randomStudent(modules: readonly Module[], form: GpdForm, seed: number): Map<string, Tensor<'float64'>> {
  const r = streamOf(seed);
  const weights = new Map<string, Tensor<'float64'>>();
  for (const m of modules) {
    for (const row of storedTensors(m, storage(form, m))) {
      if (row.only === 'none' || (row.optional && m.kind === 'conv' && !m.bias)) continue;
      const fan = row.shape.slice(1).reduce((n, d) => n * d, 1);
      const t = row.leaf === 'running_var' ? randomVariance(r, row.shape[0]!) : randomTensor(r, row.shape);
      const scale = row.leaf === 'running_var' ? 1 : 1 / Math.sqrt(fan);
      weights.set(
        keyOf(m, row),
        float64(
          t.shape,
          t.data.map((v) => v * scale),
        ),
      );
    }
  }
  return weights;
}

const sources = (weights: ReadonlyMap<string, Tensor<'float64'>>): StateDict =>
  new Map([...weights].map(([key, t]) => [key, sourceOf(t)]));
const because = 'float64 sums in another order, and thirds';

test.each(cases)('%s, ratio %i, %s OREPA', (name, ratio, _, {arch, size, orepa}) => {
  const {modules} = manifestOf(arch, size);
  const [plain, wide] = [formOf(modules, 1, orepa), formOf(modules, ratio, orepa)].map((form) => ({
    ...form,
    present: (key: string) => weights.has(key),
  })) as [GpdForm, GpdForm];
  const weights: ReadonlyMap<string, Tensor<'float64'>> = randomStudent(modules, plain, name.length + ratio);
  const expanded = new Map(modules.flatMap((m) => [...expandModule(m, storage(wide, m), (key) => weights.get(key))]));

  for (const m of modules) {
    for (const {leaf} of storedTensors(m, storage(plain, m))) {
      const use = tensorUse(wide, 'student', m, leaf);
      if (!use || leaf === 'num_batches_tracked') continue;
      const part = sourceOf(expanded.get(use.key)!).read(use.leading);
      const extracted = part.data.map((v) => v * use.factor);
      expectClose(extracted, weights.get(use.key)!.data, {rtol: 4e-16, because: '(v / 3) · 3 is rounded twice'}, use.key);
    }
  }

  const images = randomTensor(streamOf(ratio), [2, 3, size, size]);
  const expected = runReference(arch, sources(weights), plain, 'student', images);
  for (const role of ['student', 'teacher'] as const) {
    const actual = runReference(arch, sources(expanded), wide, role, images);
    expectClose(actual.data, expected.data, {rtol: 1e-11, because}, role);
  }
  expect(expected.data.some((v) => Math.abs(v) > 1e-3)).toBe(true);
});
