/**
 * The table of stored tensors against the same facts written the other way round: for layers of 4 inputs and 6 outputs and a
 * ratio of 3, the shape in the file, the student's block and factor, the teacher's factor.
 */
import type {ConvModule, Module} from '../../src/reparam/modules.js';
import {isOrepaCandidate} from '../../src/reparam/modules.js';
import {type GpdForm, parametersOf, type Role, tensorUse} from '../../src/reparam/parameters.js';
import {referenceOps} from '../../src/reparam/reference.js';
import {storedTensors} from '../../src/reparam/stored-tensors.js';
import {randomTensor, streamOf} from './naive.js';

const both = {widensIn: true, widensOut: true};
const conv = (changes: Partial<ConvModule>): ConvModule => {
  const own = {kind: 'conv', name: 'm', in: 4, out: 6, kernel: [3, 3], stride: 1, pad: 1, groups: 1, bias: true} as const;
  return {...own, ...both, ...changes};
};
const form = (orepa: boolean, unfilled = false): GpdForm => ({
  ratio: 3,
  orepa: new Set(orepa ? ['m'] : []),
  present: () => true,
  unfilledStatistics: new Set(unfilled ? ['m'] : []),
});

type Fact = [leaf: string, stored: number[], student: number[], studentFactor: number, teacherFactor: number];

const dense = conv({});
const depthwise = conv({in: 6, groups: 6});
const pool = conv({in: 3, groups: 3, stride: 2}); // two outputs a group, as between the stages of an RVT

const facts: [what: string, m: Module, orepa: boolean, facts: Fact[]][] = [
  [
    'convolution',
    dense,
    false,
    [
      ['weight', [18, 12, 3, 3], [6, 4, 3, 3], 3, 1],
      ['bias', [18], [6], 3, 1],
    ],
  ],
  [
    'first convolution',
    conv({widensIn: false}),
    false,
    [
      ['weight', [18, 4, 3, 3], [6, 4, 3, 3], 3, 1],
      ['bias', [18], [6], 3, 1],
    ],
  ],
  [
    'depthwise convolution',
    depthwise,
    false,
    [
      ['weight', [18, 1, 3, 3], [6, 1, 3, 3], 1, 1],
      ['bias', [18], [6], 1, 1 / 3],
    ],
  ],
  [
    'grouped convolution',
    pool,
    false,
    [
      ['weight', [18, 1, 3, 3], [6, 1, 3, 3], 1, 1],
      ['bias', [18], [6], 1, 1 / 3],
    ],
  ],
  [
    'linear',
    {kind: 'linear', name: 'm', in: 4, out: 6, ...both},
    false,
    [
      ['weight', [18, 12], [6, 4], 3, 1],
      ['bias', [18], [6], 3, 1],
    ],
  ],
  [
    'last linear',
    {kind: 'linear', name: 'm', in: 4, out: 6, widensIn: true, widensOut: false},
    false,
    [
      ['weight', [6, 12], [6, 4], 1, 1],
      ['bias', [6], [6], 1, 1],
    ],
  ],
  [
    'batch norm',
    {kind: 'batchNorm', name: 'm', channels: 6, eps: 1e-5},
    false,
    [
      ['weight', [18], [6], 1, 1 / 3],
      ['bias', [18], [6], 1, 1 / 3],
      ['running_mean', [18], [6], 1, 1 / 3],
      ['running_var', [18], [6], 1, 1 / 9],
      ['num_batches_tracked', [], [], 1, 1],
      ['tiny_running_mean', [18], [6], 1, 1],
      ['tiny_running_var', [18], [6], 1, 1],
    ],
  ],
  [
    'layer norm',
    {kind: 'layerNorm', name: 'm', channels: 6, eps: 1e-6},
    false,
    [
      ['weight', [18], [6], 1, 1 / 3],
      ['bias', [18], [6], 1, 1 / 3],
    ],
  ],
  [
    'dense OREPA',
    dense,
    true,
    [
      ['weight_orepa_origin', [18, 12, 3, 3], [6, 4, 3, 3], 3, 1],
      ['bias_orepa_origin', [18], [6], 3, 1],
      ['weight_orepa_avg_conv', [18, 12, 1, 1], [6, 4, 1, 1], 3, 1],
      ['weight_orepa_pfir_conv', [18, 12, 1, 1], [6, 4, 1, 1], 3, 1],
      ['weight_orepa_1x1', [18, 12, 3, 3], [6, 4, 3, 3], 3, 1],
      ['weight_orepa_1x1_kxk_idconv1', [12, 12, 1, 1], [4, 4, 1, 1], 3, 1],
      ['weight_orepa_1x1_kxk_conv2', [18, 12, 3, 3], [6, 4, 3, 3], 3, 1],
      ['weight_orepa_gconv_dw', [96, 1, 3, 3], [32, 1, 3, 3], 1, 1],
      ['weight_orepa_gconv_pw', [18, 96, 1, 1], [6, 32, 1, 1], 3, 1],
      ['vector', [6, 18], [6, 6], 1, 1],
      ['weight_orepa_avg_avg', [3, 3], [3, 3], 1, 1],
      ['id_tensor', [12, 12, 1, 1], [4, 4, 1, 1], 3, 1],
      ['weight_orepa_prior', [18, 3, 3], [6, 3, 3], 1, 1],
    ],
  ],
  [
    'depthwise OREPA',
    depthwise,
    true,
    [
      ['weight_orepa_origin', [18, 1, 3, 3], [6, 1, 3, 3], 1, 1],
      ['bias_orepa_origin', [18], [6], 1, 1 / 3],
      ['weight_orepa_avg_conv', [18, 1, 1, 1], [6, 1, 1, 1], 1, 1],
      ['weight_orepa_pfir_conv', [18, 1, 1, 1], [6, 1, 1, 1], 1, 1],
      ['weight_orepa_1x1', [18, 1, 3, 3], [6, 1, 3, 3], 1, 1],
      ['weight_orepa_1x1_kxk_idconv1', [18, 1, 1, 1], [6, 1, 1, 1], 1, 1],
      ['weight_orepa_1x1_kxk_conv2', [18, 1, 3, 3], [6, 1, 3, 3], 1, 1],
      ['weight_orepa_gconv_dw', [144, 1, 3, 3], [48, 1, 3, 3], 1, 1],
      ['weight_orepa_gconv_pw', [18, 8, 1, 1], [6, 8, 1, 1], 1, 1],
      ['vector', [6, 18], [6, 6], 1, 1],
      ['weight_orepa_avg_avg', [3, 3], [3, 3], 1, 1],
      ['id_tensor', [18, 1, 1, 1], [6, 1, 1, 1], 1, 1],
      ['weight_orepa_prior', [18, 3, 3], [6, 3, 3], 1, 1],
    ],
  ],
];

test.each(facts)('%s', (_, m, orepa, expected) => {
  const found = storedTensors(m, {ratio: 3, orepa}).map(({leaf}): Fact => {
    const use = (role: Role) => tensorUse(form(orepa), role, m, leaf)!;
    expect(use('teacher').leading).toEqual(use('teacher').stored);
    return [leaf, [...use('student').stored], [...use('student').leading], use('student').factor, use('teacher').factor];
  });
  expect(found).toEqual(expected);
});

test('a network that was not widened has no statistics of a student', () => {
  const bn: Module = {kind: 'batchNorm', name: 'm', channels: 6, eps: 1e-5};
  const leaves = storedTensors(bn, {ratio: 1, orepa: false}).map(({leaf}) => leaf);
  expect(leaves).toEqual(['weight', 'bias', 'running_mean', 'running_var', 'num_batches_tracked']);
});

test('dense and depthwise 3x3 convolutions of stride 1 may be branches', () => {
  expect([dense, depthwise, conv({in: 6, groups: 2})].map(isOrepaCandidate)).toEqual([true, true, false]);
  const others = [conv({stride: 2}), conv({pad: 0}), conv({kernel: [1, 1]}), conv({kernel: [3, 1]}), conv({kernel: [5, 5]})];
  expect(others.map(isOrepaCandidate)).toEqual([false, false, false, false, false]);
});

test('which statistics a role uses', () => {
  const bn = {kind: 'batchNorm', name: 'm', channels: 2, eps: 1e-5} as const;
  const used = (role: Role, f: GpdForm) => {
    const keys: string[] = [];
    const load = ({key, leading}: {key: string; leading: readonly number[]}) => {
      keys.push(key);
      return randomTensor(streamOf(1), leading);
    };
    const {eps} = parametersOf(referenceOps, f, role, load).batchNorm(bn);
    return [...keys.slice(2).map((key) => key.slice(2)), eps];
  };
  expect(used('student', form(false))).toEqual(['tiny_running_mean', 'tiny_running_var', 1e-5]);
  expect(used('student', form(false, true))).toEqual(['running_mean', 'running_var', 1e-5]);
  expect(used('teacher', form(false))).toEqual(['running_mean', 'running_var', 1e-5 / 9]);
  expect(used('student', {...form(false), ratio: 1})).toEqual(['running_mean', 'running_var', 1e-5]);
});
