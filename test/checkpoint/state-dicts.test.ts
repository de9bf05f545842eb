/** Where the weights are: at any depth, by name, by --key, by --ema; several networks are never told apart in silence. */

import type {OpenOptions} from '../../src/checkpoint/open.js';
import {openCheckpoint} from '../../src/checkpoint/open.js';
import type {Writable} from '../../src/checkpoint/write-pickle.js';
import {orderedStateDict, writeTorch} from '../../src/checkpoint/write-torch.js';
import {bufferSource} from '../../src/core/bytes.js';
import {float32, type StateDict, sourceOf} from '../../src/core/tensor.js';
import {archive, collect, dict, int, pickle, refusal, storage, str, tensor} from './assembler.js';

const weights = (count = 12, prefix = ''): StateDict =>
  new Map(Array.from({length: count}, (_, i) => [`${prefix}l${i}`, sourceOf(float32([1, 2], [i, 1]))]));
const network = (count = 12, prefix = '') => orderedStateDict(weights(count, prefix));
const record = (entries: Record<string, Writable>) => new Map<string, Writable>(Object.entries(entries));
const tuple = (...items: Writable[]): Writable => ({kind: 'tuple', items});
const open = (root: Writable, options: OpenOptions = {}) =>
  openCheckpoint(
    bufferSource(
      collect((sink) => writeTorch(root, sink)),
      'file.pth',
    ),
    options,
  );
const keyIn = (root: Writable, options: OpenOptions = {}) => open(root, options).stateDictKey;
const scalar = sourceOf(float32([], [3]));
const optimizer = record({
  state: new Map<Writable, Writable>([[0, record({momentum_buffer: sourceOf(float32([2, 2], [1, 2, 3, 4]))})]]) as Writable,
  param_groups: [record({lr: 0.1})],
});

describe('the only one needs no flag', () => {
  test.each<[string, Writable, string | null]>([
    ['the file itself', network(), null],
    ['net', record({net: network()}), 'net'],
    ['a name of its own', record({my_weights: network(), epoch: 3}), 'my_weights'],
    ['two levels', record({checkpoint: record({state_dict: network(), epoch: 1})}), 'checkpoint.state_dict'],
    ['a tuple', tuple(network(), 90), '0'],
    ['a list in a dict', record({runs: [record({model: network()})]}), 'runs.0.model'],
    ['a namespace', {kind: 'namespace', fields: record({weights: network()})}, 'weights'],
    ['an empty one beside it', record({state_dict: new Map(), model: network()}), 'model'],
    ['a text under the better name', record({model: 'resnet18', weights: network()}), 'weights'],
    ['an optimizer', record({net: network(2), optimizer}), 'net'],
    ['an optimizer under another name', record({net: network(2), solver: optimizer}), 'net'],
    ['random states and metrics', record({rng: scalar, best: record({acc: scalar}), net: network(1)}), 'net'],
    ['a key with dots', record({'v1.0': record({model: network()})}), 'v1.0.model'],
  ])('%s', (_, root, key) => expect(keyIn(root)).toBe(key));

  test('what stands beside it on every level is named', () => {
    const {ignored, meta, args} = open(
      record({args: record({lr: 0.1}), run: record({model: network(), queue: scalar, epoch: 4}), optimizer}),
    );
    expect(ignored).toEqual([
      {key: 'optimizer', reason: 'training state, not needed for the network'},
      {key: 'run.queue', reason: 'a tensor outside the state dict', tensors: 1},
    ]);
    expect([Object.fromEntries(meta), Object.fromEntries(args!)]).toEqual([{'run.epoch': 4}, {lr: 0.1}]);
  });
});

describe('several', () => {
  const two = record({model: network(), best_model: network(12)});
  test('are an error that lists them as commands', () => {
    const error = refusal(() => keyIn(two));
    expect([error.code, error.message, error.hint]).toEqual([
      'ARCH_AMBIGUOUS',
      "file.pth: holds 2 state dicts that may be the network: 'model' (12 tensors, 96 B), 'best_model' (12 tensors, 96 B)",
      'say which one is meant: --key model, or --key best_model',
    ]);
  });
  test('each command works', () => {
    for (const key of ['model', 'best_model']) expect(keyIn(two, {key})).toBe(key);
  });
  test.each<[string, Writable, RegExp]>([
    ['student and teacher', record({student: network(), teacher: network(60)}), /--key student, or --key teacher/],
    [
      'a model and a teacher twice as deep',
      record({model: network(12), teacher: network(60)}),
      /--key model, or --key teacher/,
    ],
    ['epochs', record({1: network(), 2: network()}), /--key 1, or --key 2/],
    ['a tuple', tuple(network(), network()), /--key 0, or --key 1/],
    ['names that a shell would split', record({'my net': network(), other: network()}), /--key 'my net', or --key other/],
    ['the file itself and another', record({...Object.fromEntries(weights()), gan: network()}), /--key \., or --key gan/],
  ])('%s', (_, root, hint) => expect(refusal(() => keyIn(root)).hint).toMatch(hint));

  test.each<[string, Writable, string | null]>([
    ['the order of names', record({weights: network(), model: network(), state_dict: network()}), 'state_dict'],
    ['a loss with weights', record({net: network(20), center_loss: network(1)}), 'net'],
    ['the last weights, not the average', record({model_ema: network(), model: network()}), 'model'],
  ])('%s is no doubt', (_, root, key) => expect(keyIn(root)).toBe(key));
});

test('one dict under two names is no doubt, and both can be asked for', () => {
  const view = tensor(storage('0', int(2)), {size: [int(1), int(2)], stride: [int(2), int(1)]});
  const root = pickle('}(', str('first'), dict(str('w'), view), 'q', 1, str('second'), 'h', 1, 'u');
  const data = bufferSource(archive({'data.pkl': root, 'data/0': new Uint8Array(8)}));
  expect(openCheckpoint(data).stateDictKey).toBe('first');
  expect(openCheckpoint(data, {key: 'second'}).stateDictKey).toBe('second');
});

describe('--key', () => {
  const root = record({a: record({b: network(3), 'c.d': network(4)}), model: network(20), list: [1, tuple(network(5))]});
  test.each([
    ['a.b', 3],
    ['a.c.d', 4],
    ['list.1.0', 5],
    ['list', 5],
    ['model', 20],
  ])('%s', (key, tensors) => expect(open(root, {key}).stateDict.size).toBe(tensors));
  test('also what looks like no weights, and the file itself', () => {
    expect(open(record({net: network(), rng: record({cpu: scalar})}), {key: 'rng'}).stateDict.size).toBe(1);
    expect(open(network(3), {key: '.'}).stateDict.size).toBe(3);
  });
  test.each([['nothing'], ['a.x'], ['a.b.'], [''], ['list.0'], ['__proto__'], ['a.b.l0']])(
    '%j is refused with what is there',
    (key) => {
      const error = refusal(() => open(root, {key}));
      expect([error.code, error.hint]).toEqual(['STATE_DICT_NOT_FOUND', expect.stringMatching(/--key a.b, or --key a.c.d/)]);
    },
  );
});

describe('averages', () => {
  test.each([
    'state_dict_ema',
    'model_ema',
    'ema',
    'ema_state_dict',
    'modelEMA',
    'swa_model',
    'swa_state_dict',
    'averaged_model',
    'best_ema',
  ])('%s is left aside, with a word, and taken with --ema', (name) => {
    const root = record({model: network(), [name]: network()});
    const plain = open(root);
    expect([plain.stateDictKey, plain.averaged]).toEqual(['model', false]);
    expect(plain.warnings).toEqual([`averaged weights (EMA) in '${name}' are left aside; --ema uses them`]);
    const averaged = open(root, {ema: true});
    expect([averaged.stateDictKey, averaged.averaged, averaged.warnings]).toEqual([name, true, []]);
  });
  test('a name that only contains the letters is no average', () => {
    for (const name of ['schema', 'avgpool_net', 'emanet']) expect(open(record({[name]: network()})).averaged).toBe(false);
  });
  test('with a wrapper inside', () => {
    const root = record({model: network(), ema: record({module: network(), updates: 3})});
    expect(keyIn(root, {ema: true})).toBe('ema.module');
  });
  test('counters beside the weights are no weights, and `module.` is taken off', () => {
    for (const counter of ['n_averaged', 'steps']) {
      const root = record({
        model: network(),
        model_ema: new Map<string, Writable>([[counter, scalar], ...weights(3, 'module.')]),
      });
      const {stateDict, prefix, ignored} = open(root, {ema: true});
      expect([[...stateDict.keys()], prefix]).toEqual([['l0', 'l1', 'l2'], 'module.']);
      expect(ignored.map(({key}) => key)).toEqual(['model', `model_ema.${counter}`]);
    }
  });
  test('a file of averages alone is taken, and said to be one', () => {
    const {averaged, warnings} = open(record({ema: network(), epoch: 3}));
    expect([averaged, warnings.join()]).toEqual([
      true,
      expect.stringMatching(/the only weights in the file are averaged ones \(EMA\)/),
    ]);
    const swa = open(new Map<string, Writable>([['n_averaged', scalar], ...weights(3, 'module.')]));
    expect([swa.stateDict.size, swa.averaged]).toEqual([3, true]);
  });
  test('several: --ema takes the usual name, and asks where there is none', () => {
    expect(keyIn(record({model: network(), ema: network(), swa: network()}), {ema: true})).toBe('ema');
    const root = record({model: network(), 'ema_0.9': network(), 'ema_0.99': network()});
    expect(refusal(() => open(root, {ema: true})).hint).toMatch(/--key ema_0.9, or --key ema_0.99/);
    expect(keyIn(root)).toBe('model');
  });
  test('there are none: an error, never another network', () => {
    const error = refusal(() => open(record({model: network(), other: network(1)}), {ema: true}));
    expect([error.code, error.hint]).toEqual(['STATE_DICT_NOT_FOUND', expect.stringMatching('leave --ema out')]);
  });
});

test.each<[string, Writable]>([
  ['a tensor', scalar],
  ['a list of tensors', [scalar]],
  ['pairs', [tuple('w', scalar)]],
])('%s alone is no state dict', (_, root) => {
  expect(refusal(() => open(root)).message).toMatch('holds tensors without names; a state dict is a dict of tensors by name');
});

test('averages among the other weights of one dict: --ema names the prefix', () => {
  const both = new Map([...weights(3, 'model.'), ...weights(3, 'ema_model.module.')]);
  const error = refusal(() => open(record({state_dict: both}), {ema: true}));
  expect([error.message, error.hint]).toEqual([
    "file.pth: averaged weights stand among the others in 'state_dict', under 'ema_model.'",
    'leave --ema out, and name them: --prefix ema_model.',
  ]);
});
test('averages that a callback of Lightning keeps', () => {
  const root = record({state_dict: network(), callbacks: record({EMA: record({ema_state_dict: network()})})});
  expect([keyIn(root), keyIn(root, {ema: true})]).toEqual(['state_dict', 'callbacks.EMA.ema_state_dict']);
});

test('a file without a state dict can be looked at', () => {
  const {stateDict, problem, available, ignored} = open(record({optimizer, epoch: 3}), {withoutStateDict: 'keep'});
  expect([stateDict.size, problem?.code, available, ignored]).toEqual([0, 'STATE_DICT_NOT_FOUND', [], []]);
  expect(problem?.message).toMatch('only training state');
});

test('parameters flattened by FSDP are refused by what they are', () => {
  const root = record({state_dict: new Map([['_fsdp_wrapped_module._flat_param', sourceOf(float32([2, 2], [1, 2, 3, 4]))]])});
  expect(refusal(() => open(root)).hint).toMatch('FULL_STATE_DICT');
});
