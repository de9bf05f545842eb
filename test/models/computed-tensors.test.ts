/** Tensors that a file holds in parts or not at all: the network is the one that computes with what PyTorch makes of them. */
import {filled} from '../../fixtures/fill.js';
import {reducedNetworks} from '../../fixtures/networks.js';
import {
  elementCount,
  float64,
  type StateDict,
  sourceOf,
  type Tensor,
  type TensorSource,
  toFloat64,
} from '../../src/core/tensor.js';
import {computeTensors} from '../../src/models/computed-tensors.js';
import {recognise} from '../../src/models/recognise.js';
import {runReference} from '../../src/models/reference.js';
import {manifestOf} from '../../src/models/walk.js';
import {fuseBatchNorm} from '../../src/reparam/algebra.js';
import {referenceOps} from '../../src/reparam/reference.js';
import {storedEntries} from '../../src/reparam/stored-tensors.js';
import {expectClose} from '../close.js';

const arch = reducedNetworks.cifarResnet20;
const SIDE = 16;
const IMAGES = filled('images', 'input', [2, 3, SIDE, SIDE]).read();

const plain = (): Map<string, TensorSource> =>
  new Map(storedEntries(manifestOf(arch).modules, 1, () => false).map(({key, shape}) => [key, filled('computed', key, shape)]));
const numbers = (stateDict: StateDict, key: string): Float64Array => toFloat64(stateDict.get(key)!.read()).data;

function logitsOf(stateDict: StateDict): Float64Array {
  const r = recognise(stateDict, undefined, {imageSize: SIDE});
  return runReference(r.arch, r.stateDict, r.form, 'student', IMAGES).data;
}

/** One convolution's weight replaced by its parts, and the same network with the weight that they make. */
function inParts(
  key: string,
  parts: Readonly<Record<string, readonly number[]>>,
  make: (parts: Readonly<Record<string, Float64Array>>, at: number) => number,
): {stored: StateDict; expected: StateDict} {
  const [stored, expected] = [plain(), plain()];
  const {shape} = stored.get(key)!;
  stored.delete(key);
  const module = key.slice(0, key.lastIndexOf('.') + 1);
  for (const [name, of] of Object.entries(parts)) stored.set(module + name, filled('parts', name, of));
  const read = Object.fromEntries(Object.keys(parts).map((name) => [name, numbers(stored, module + name)]));
  const made = Float64Array.from({length: elementCount(shape)}, (_, at) => make(read, at));
  expected.set(key, sourceOf(float64(shape, made) as Tensor));
  return {stored, expected};
}

const KEY = 'layer2.0.conv1.weight'; // [4, 2, 3, 3]
const SHAPE = [4, 2, 3, 3];
const square = (values: Float64Array) => values.reduce((sum, v) => sum + v * v, 0);
const sigma = (w: Float64Array, u: Float64Array, v: Float64Array) =>
  u.reduce((sum, ui, i) => sum + ui * v.reduce((row, vj, j) => row + vj * w[i * v.length + j]!, 0), 0);

/** For each number of the weight, by the definitions in PyTorch's documentation. */
const byRow = (g: Float64Array, v: Float64Array, at: number) =>
  (g[Math.floor(at / 18)]! * v[at]!) / Math.sqrt(square(v.subarray(18 * Math.floor(at / 18), 18 * Math.floor(at / 18) + 18)));

const cases: readonly [what: string, ...Parameters<typeof inParts>][] = [
  [
    'a mask of pruning',
    KEY,
    {weight_orig: SHAPE, weight_mask: SHAPE},
    (p, at) => p['weight_orig']![at]! * p['weight_mask']![at]!,
  ],
  ['weight norm', KEY, {weight_g: [4, 1, 1, 1], weight_v: SHAPE}, (p, at) => byRow(p['weight_g']!, p['weight_v']!, at)],
  [
    'weight norm as a parametrisation',
    KEY,
    {'parametrizations.weight.original0': [4, 1, 1, 1], 'parametrizations.weight.original1': SHAPE},
    (p, at) => byRow(p['parametrizations.weight.original0']!, p['parametrizations.weight.original1']!, at),
  ],
  [
    'weight norm of the whole tensor',
    KEY,
    {weight_g: [], weight_v: SHAPE},
    (p, at) => (p['weight_g']![0]! * p['weight_v']![at]!) / Math.sqrt(square(p['weight_v']!)),
  ],
  [
    'spectral norm',
    KEY,
    {weight_orig: SHAPE, weight_u: [4], weight_v: [18]},
    (p, at) => p['weight_orig']![at]! / sigma(p['weight_orig']!, p['weight_u']!, p['weight_v']!),
  ],
  [
    'spectral norm as a parametrisation',
    KEY,
    {'parametrizations.weight.original': SHAPE, 'parametrizations.weight.0._u': [4], 'parametrizations.weight.0._v': [18]},
    (p, at) => {
      const [w, u, v] = ['original', '0._u', '0._v'].map((name) => p[`parametrizations.weight.${name}`]!);
      return w![at]! / sigma(w!, u!, v!);
    },
  ],
];

test.each(cases)('%s is computed', (_, key, parts, make) => {
  const {stored, expected} = inParts(key, parts, make);
  const because = 'a computed weight is rounded to float32';
  expectClose(logitsOf(stored), logitsOf(expected), {atol: 1e-5, because});
  const {keys, evidence} = recognise(stored, undefined);
  const used = keys.filter(({use}) => use === 'both').map((use) => use.key);
  expect(used).toEqual(expect.arrayContaining(Object.keys(parts).map((name) => `layer2.0.conv1.${name}`)));
  expect(used).not.toContain(key);
  expect(keys.map((use) => use.key).sort()).toEqual([...stored.keys()].sort());
  expect(evidence).toContainEqual(expect.objectContaining({value: '1', what: expect.stringMatching(/, (applied|computed)$/)}));
});

test('parts of a network under a prefix keep their names in the report', () => {
  const {stored} = inParts(KEY, {weight_orig: SHAPE, weight_mask: SHAPE}, () => 0);
  const inner = new Map([...stored].map(([key, source]) => [`student.${key}`, source]));
  const keys = recognise(inner, undefined).keys.map(({key}) => key);
  expect(keys).toEqual(expect.arrayContaining(['student.layer2.0.conv1.weight_orig', 'student.layer2.0.conv1.weight_mask']));
  expect(keys).toHaveLength(stored.size);
});

test('a leading block is that of the computed tensor', () => {
  const {stored} = inParts(KEY, {weight_orig: SHAPE, weight_mask: SHAPE}, () => 0);
  const {stateDict} = computeTensors(stored);
  const [whole, part] = [stateDict.get(KEY)!.read().data, stateDict.get(KEY)!.read([2, 1, 3, 3]).data];
  expect([...part]).toEqual([...whole.slice(0, 9), ...whole.slice(18, 27)]);
});

test('parts that do not fit are refused, a weight beside its parts is itself', () => {
  const {stored} = inParts(KEY, {weight_orig: SHAPE, weight_mask: [4, 2, 1, 1]}, () => 0);
  expect(() => recognise(stored, undefined)).toThrow(/'layer2.0.conv1.weight_orig' \[4, 2, 3, 3\] does not fit .*weight_mask/);
  const whole = new Map([...plain(), ['layer2.0.conv1.weight_orig', filled('parts', 'w', SHAPE)] as const]);
  expect(computeTensors(whole).stateDict).toBe(whole);
});

test('a batch norm without factors and offsets has ones and zeros', () => {
  const [stored, expected] = [plain(), plain()];
  for (const [key, {shape}] of plain()) {
    const [, leaf] = /bn\d\.(weight|bias)$/.exec(key) ?? [];
    if (leaf === undefined) continue;
    stored.delete(key);
    expected.set(
      key,
      sourceOf(float64(shape, new Float64Array(elementCount(shape)).fill(leaf === 'weight' ? 1 : 0)) as Tensor),
    );
  }
  expect(logitsOf(stored)).toEqual(logitsOf(expected));
  const {keys, evidence} = recognise(stored, undefined);
  expect(keys.map(({key}) => key).sort()).toEqual([...stored.keys()].sort());
  expect(evidence.at(-1)).toMatchObject({value: '19', what: 'batch norms without factors'});
});

/** Batch norms of these convolutions merged into them, as PyTorch's tools do it. */
function fused(convolutions: (name: string) => boolean): Map<string, TensorSource> {
  const stored = plain();
  for (const [key, {shape}] of plain()) {
    const [, module, number] = /^(.*)conv(\d)\.weight$/.exec(key) ?? [];
    if (module === undefined || !convolutions(`${module}conv${number}`)) continue;
    const [norm, read] = [`${module}bn${number}`, (name: string) => toFloat64(stored.get(name)!.read())];
    const [gamma, beta] = [read(`${norm}.weight`), read(`${norm}.bias`)];
    const [mean, variance] = [read(`${norm}.running_mean`), read(`${norm}.running_var`)];
    const merged = fuseBatchNorm(referenceOps, {weight: read(key)}, {gamma, beta, mean, variance, eps: 1e-5}, shape[0]!);
    stored.set(key, sourceOf(merged.weight as Tensor));
    stored.set(`${module}conv${number}.bias`, sourceOf(merged.bias as Tensor));
    for (const own of [...stored.keys()]) if (own.startsWith(`${norm}.`)) stored.delete(own);
  }
  return stored;
}

test.each([
  ['all', () => true, '19'],
  ['the stem', (name: string) => name === 'conv1', '1'],
])('batch norms that were merged already, %s of them, compute nothing', (_, which, count) => {
  const stored = fused(which);
  expectClose(logitsOf(stored), logitsOf(plain()), {atol: 1e-12, because: 'the same sums in float64, in another order'});
  const {evidence, kind} = recognise(stored, undefined);
  expect(kind).toBe('deployed');
  expect(evidence.find(({what}) => what === 'batch norms fused already')?.value).toBe(count);
});

test('a batch norm that is missing where the convolution has no bias is missed', () => {
  const stored = fused((name) => name === 'conv1');
  stored.delete('conv1.bias');
  expect(() => recognise(stored, undefined)).toThrow(/no 'bn1.weight'/);
});

test('a counter of batches may have a dimension', () => {
  const stored = plain();
  stored.set('bn1.num_batches_tracked', {
    dtype: 'int64',
    shape: [1],
    read: () => ({dtype: 'int64', shape: [1], data: new BigInt64Array(1)}),
  });
  expect(recognise(stored, undefined).arch.name).toBe('cifar-resnet20');
});
