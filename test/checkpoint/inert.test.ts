/** Objects of the program that saved a checkpoint: plain data with a name, whatever they are, and numpy arrays as the numbers they hold. */
import {describeTree, describeValue} from '../../src/checkpoint/describe-tree.js';
import {openCheckpoint} from '../../src/checkpoint/open.js';
import {isKind, type PlainData} from '../../src/checkpoint/plain-data.js';
import {bufferSource} from '../../src/core/bytes.js';
import {archive, bytes, dict, global, int, pickle, read, refusal, storage, str, tensor, tuple, u32} from './assembler.js';

const call = (of: Uint8Array, ...args: Uint8Array[]) => bytes(of, tuple(...args), 'R');
const create = (of: Uint8Array, state: Uint8Array) => bytes(of, ')', 0x81, state, 'b');
const latin1 = (data: ArrayLike<number>) =>
  call(global('_codecs', 'encode'), str(Buffer.from(Uint8Array.from(data)).toString('latin1')), str('latin1'));
const list = (...items: Uint8Array[]) => bytes('](', ...items, 'e');
const float64 = (value: number) => {
  const data = Buffer.alloc(8);
  data.writeDoubleBE(value);
  return bytes('G', data);
};

describe('what Python has itself', () => {
  const config = global('__main__', 'Config');
  test.each<[string, Uint8Array, string]>([
    [
      'a path',
      call(global('pathlib', 'PosixPath'), str('/'), str('data'), str('imagenet')),
      'pathlib.PosixPath /data/imagenet',
    ],
    ['a path of Python 3.13', call(global('pathlib._local', 'PosixPath'), str('a'), str('b')), 'pathlib._local.PosixPath a/b'],
    ['a path of Windows', call(global('pathlib', 'WindowsPath'), str('C:\\'), str('x')), 'pathlib.WindowsPath C:\\x'],
    [
      'a moment',
      call(global('datetime', 'datetime'), latin1([7, 230, 1, 2, 3, 4, 5, 0, 0, 0])),
      'datetime.datetime 2022-01-02 03:04:05',
    ],
    ['a day', call(global('datetime', 'date'), latin1([7, 230, 12, 31])), 'datetime.date 2022-12-31'],
    ['a complex number', call(global('__builtin__', 'complex'), float64(1), float64(-2)), '__builtin__.complex 1-2j'],
    ['a range', call(global('__builtin__', 'xrange'), int(0), int(3), int(1)), '__builtin__.xrange (0, 3, 1)'],
    ['a member of an enum', call(global('__builtin__', 'getattr'), config, str('FAST')), '__main__.Config.FAST'],
    [
      'a method',
      call(global('__builtin__', 'getattr'), create(global('torch.optim.lr_scheduler', 'OneCycleLR'), bytes('}')), str('_cos')),
      'method torch.optim.lr_scheduler.OneCycleLR._cos',
    ],
    [
      'a defaultdict',
      bytes(call(global('collections', 'defaultdict'), global('__builtin__', 'list')), '(', str('a'), 'Nu'),
      'dict (1)',
    ],
    ['a member of a set of flags', call(global('_operator', 'or_'), int(1), int(2)), '_operator.or_ (1, 2)'],
    ['a long integer', bytes(0x8b, u32(2000), new Uint8Array(2000)), 'int of 2000 bytes'],
    ['a short one in LONG4', bytes(0x8b, u32(2), [0, 1]), '256'],
    ['a deque', bytes(call(global('collections', 'deque'), bytes(')'), int(3)), '(NNe'), 'list (2)'],
    ['a frozenset', call(global('__builtin__', 'frozenset'), list(int(1))), 'set (1)'],
    ['a SimpleNamespace', bytes(call(global('types', 'SimpleNamespace')), dict(str('a'), int(1)), 'b'), 'namespace (1)'],
    ['bytes of any length', latin1(new Uint8Array(5000).fill(200)), 'bytes (5000)'],
    ['a bytearray', call(global('__builtin__', 'bytearray'), str('ab'), str('latin-1')), 'bytes (2)'],
    ['an object of the script', create(config, dict(str('lr'), float64(0.1), str('steps'), int(3))), '__main__.Config (2)'],
    ['a kind of dict', bytes(global('easydict', 'EasyDict'), ')', 0x81, '(', str('a'), int(1), 'u'), 'easydict.EasyDict (1)'],
    ['a kind of list', bytes(global('mylib.lists', 'History'), ')', 0x81, '(NNNe'), 'mylib.lists.History (3)'],
    ['slots', create(config, bytes('N', dict(str('a'), int(1)), 0x86)), '__main__.Config (2)'],
    [
      'an object of a nested class',
      call(call(global('__builtin__', 'getattr'), config, str('Inner')), int(1)),
      '__main__.Config.Inner (1)',
    ],
    [
      'what copyreg makes',
      call(global('copy_reg', '_reconstructor'), config, global('__builtin__', 'object'), bytes('N')),
      '__main__.Config (2)',
    ],
  ])('%s', (_, data, text) => expect(describeValue(read(pickle(data)))).toBe(text));

  test('protocol 5: objects with named arguments, frozen sets, byte arrays', () => {
    const body = bytes(
      '(',
      global('m', 'C'),
      ')',
      dict(str('a'), int(1)),
      0x92,
      '(N',
      0x91,
      0x96,
      [2, 0, 0, 0, 0, 0, 0, 0],
      'xyt',
    );
    const value = read(bytes(0x80, 5, body, '.'));
    expect(isKind(value, 'tuple') && value.items.map(describeValue)).toEqual(['m.C (1)', 'set (1)', 'bytes (2)']);
  });

  test('the tree shows attributes, and ends where an object contains itself', () => {
    const self = bytes(global('m', 'Node'), ')', 0x81, 'q', 1, '}(', str('next'), 'h', 1, 'ub');
    expect(describeTree(read(pickle(self))).map(({place, text}) => `${place}: ${text}`)).toEqual([
      ': m.Node (1)',
      'next: m.Node that contains itself',
    ]);
  });

  test('a method of an object that holds the method: what is thrown away is not missed', () => {
    const scheduler = bytes(global('torch.optim.lr_scheduler', 'OneCycleLR'), ')', 0x81, 'q', 1);
    const method = bytes(global('__builtin__', 'getattr'), 'h', 1, str('_annealing_cos'), 0x86, 'R', 'q', 2);
    const state = dict(str('anneal_func'), method, str('total_steps'), int(10));
    const whole = bytes(global('__builtin__', 'getattr'), '(', scheduler, state, 'b', '1', '0', 'h', 2);
    expect(describeValue(read(pickle(whole)))).toBe('method torch.optim.lr_scheduler.OneCycleLR._annealing_cos');
    expect(refusal(() => read(pickle('0'))).code).toBe('PICKLE_INVALID');
    expect(refusal(() => read(pickle('N1'))).code).toBe('PICKLE_INVALID');
  });

  test('a name with a dot is never the name of a row: getattr reaches nothing', () => {
    const ordered = call(global('__builtin__', 'getattr'), global('collections', 'OrderedDict'), str('__init__'));
    expect(describeValue(read(pickle(call(ordered))))).toBe('collections.OrderedDict.__init__ (0)');
    expect(describeValue(read(pickle(call(ordered, str('x')))))).toBe('collections.OrderedDict.__init__ (1)');
    const system = () => read(pickle(call(global('__builtin__', 'getattr'), global('os', 'path'), str('system'))));
    expect(refusal(system).code).toBe('PICKLE_UNSUPPORTED');
    const method = call(global('__builtin__', 'getattr'), str('text'), str('format'));
    expect(refusal(() => read(pickle(call(method)))).code).toBe('PICKLE_INVALID');
  });

  test('bytes made of one text again and again are paid for each time', () => {
    const again = bytes(global('_codecs', 'encode'), 'q\x02', '(h\x01', str('latin1'), 'tR');
    const many = Array<Uint8Array>(1000).fill(again);
    const data = pickle(str('x'.repeat(1 << 16)), 'q\x01', '(', ...many, 't0.');
    expect(refusal(() => read(data)).code).toBe('LIMIT_EXCEEDED');
  });
  test('a hundred thousand objects of one list of arguments cost what they are', () => {
    const data = pickle('((NNNNt', 'q\x01', global('m', 'C'), 'q\x02', 'h\x02h\x01R'.repeat(200_000), 't');
    expect(refusal(() => read(data)).code).toBe('LIMIT_EXCEEDED');
  });
});

/** A file with one two-dimensional tensor and another entry. */
const checkpoint = (beside: Uint8Array): Uint8Array => {
  const weights = dict(str('w'), tensor(storage('0', int(4)), {size: [int(2), int(2)], stride: [int(2), int(1)]}));
  const root = dict(str('model'), weights, str('beside'), beside);
  return archive({'data.pkl': pickle(root), 'data/0': new Uint8Array(16)});
};
const openBytes = (data: Uint8Array) => openCheckpoint(bufferSource(data, 'test.pth'));

test('what became inert is reported by class', () => {
  const objects = list(
    create(global('__main__', 'AverageMeter'), dict(str('avg'), float64(1))),
    create(global('__main__', 'AverageMeter'), bytes('}')),
    call(global('pathlib', 'PosixPath'), str('/data')),
  );
  const {inert, stateDict, ignored} = openBytes(checkpoint(objects));
  expect(inert).toEqual([
    {type: '__main__.AverageMeter', count: 2},
    {type: 'pathlib.PosixPath', count: 1},
  ]);
  expect([[...stateDict.keys()], ignored]).toEqual([['w'], [{key: 'beside', reason: 'of type list, not part of the network'}]]);
});

describe('whole models', () => {
  const module = (name: string) =>
    create(
      global('__main__', name),
      dict(str('training'), bytes(0x88), str('_parameters'), bytes('}'), str('_modules'), bytes('}')),
    );
  test.each<[string, Uint8Array, RegExp]>([
    ['as the file', module('Net'), /whole model saved with its code \("__main__.Net"\); nothing was executed/],
    ['under a key', dict(str('model'), module('Net'), str('epoch'), int(3)), /whole model.*under 'model'/],
    ['in a list', list(module('Net')), /whole model.*under '0'/],
    [
      'an optimizer',
      create(global('torch.optim.sgd', 'SGD'), dict(str('state'), bytes('}'), str('param_groups'), bytes(']'))),
      /optimizer saved as an object/,
    ],
  ])('%s', (_, root, message) => {
    const error = refusal(() => openBytes(archive({'data.pkl': pickle(root)})));
    expect([error.code, error.message]).toEqual(['PICKLE_UNSUPPORTED', expect.stringMatching(message)]);
    expect(error.hint).toMatch('model.state_dict()');
  });
  test('an optimizer that keeps its state by tensor is left out', () => {
    const view = tensor(storage('0', int(4)), {size: [int(2), int(2)], stride: [int(2), int(1)]});
    const state = bytes('}', view, dict(str('momentum_buffer'), view), 's');
    const sgd = create(global('torch.optim.sgd', 'SGD'), dict(str('state'), state, str('param_groups'), bytes(']')));
    expect(openBytes(checkpoint(sgd)).stateDict.size).toBe(1);
  });
  test('beside a state dict it is left out', () => {
    expect(openBytes(checkpoint(module('Net'))).stateDict.size).toBe(1);
  });
});

describe('numpy', () => {
  const dtype = (code: string, order = '<') =>
    bytes(
      call(global('numpy', 'dtype'), str(code), bytes(0x89), bytes(0x88)),
      tuple(int(3), str(order), bytes('NNN'), int(-1), int(-1), int(0)),
      'b',
    );
  const array = (code: string, size: number[], data: ArrayLike<number>, {order = '<', fortran = false} = {}) =>
    bytes(
      call(global('numpy.core.multiarray', '_reconstruct'), global('numpy', 'ndarray'), tuple(int(0)), latin1([98])),
      tuple(int(1), tuple(...size.map(int)), dtype(code, order), bytes(fortran ? 0x88 : 0x89), latin1(data)),
      'b',
    );
  const scalar = (code: string, data: ArrayLike<number>, order = '<'): PlainData =>
    read(pickle(call(global('numpy.core.multiarray', 'scalar'), dtype(code, order), latin1(data))));

  test.each<[string, number[], string, unknown]>([
    ['f2', [0x00, 0x3e], '<', 1.5],
    ['f4', [0x3f, 0xc0, 0, 0], '>', 1.5],
    ['u2', [0xff, 0xff], '<', 65535],
    ['u4', [0xff, 0xff, 0xff, 0xff], '<', 2 ** 32 - 1],
    ['u8', [0, 0, 0, 0, 0, 0, 0, 0x80], '<', 2n ** 63n],
    ['i2', [0xff, 0xfe], '>', -2],
    ['b1', [1], '|', true],
  ])('a scalar of %s', (code, data, order, value) => expect(scalar(code, data, order)).toBe(value));
  test('scalars that are texts or dates', () => {
    expect(describeValue(scalar('U2', [0x41, 0, 0, 0, 0xe9, 0, 0, 0]))).toBe('numpy.str_ Aé');
    expect(describeValue(scalar('M8', new Array(8).fill(0)))).toBe('numpy.core.multiarray.scalar M8');
  });

  const opened = (...entries: Uint8Array[]) => openBytes(archive({'data.pkl': pickle(dict(...entries))}));
  const numbers = (source: Uint8Array, leading?: number[]) =>
    [...opened(str('w'), source).stateDict.get('w')!.read(leading).data].map(Number);
  const floats = (...values: number[]) => new Uint8Array(Float32Array.from(values).buffer);

  test('arrays are tensors where they stand in a state dict', () => {
    const data = floats(0, 1, 2, 3, 4, 5);
    expect(numbers(array('f4', [2, 3], data))).toEqual([0, 1, 2, 3, 4, 5]);
    expect(numbers(array('f4', [2, 3], data, {fortran: true}))).toEqual([0, 2, 4, 1, 3, 5]);
    expect(numbers(array('f4', [2, 3], data, {fortran: true}), [2, 1])).toEqual([0, 1]);
    expect(numbers(array('f4', [2, 3], data), [1, 2])).toEqual([0, 1]);
    const turned = Buffer.from(data);
    turned.swap32();
    expect(numbers(array('f4', [2, 3], turned, {order: '>'}))).toEqual([0, 1, 2, 3, 4, 5]);
    expect(numbers(array('f4', [2, 3], turned, {order: '>', fortran: true}))).toEqual([0, 2, 4, 1, 3, 5]);
    expect(numbers(array('u2', [2], [0xff, 0xff, 1, 0]))).toEqual([65535, 1]);
    expect(numbers(array('u4', [1], [0xff, 0xff, 0xff, 0xff]))).toEqual([2 ** 32 - 1]);
    expect(numbers(array('u4', [1], [0xff, 0xff, 0xff, 0xfe], {order: '>'}))).toEqual([2 ** 32 - 2]);
    expect(numbers(array('f8', [], Float64Array.of(2.5).buffer && new Uint8Array(Float64Array.of(2.5).buffer)))).toEqual([2.5]);
  });
  test('as protocol 5 writes them', () => {
    const made = call(
      global('numpy.core.numeric', '_frombuffer'),
      bytes('B', u32(8), floats(1, 2)),
      dtype('f4'),
      tuple(int(2), int(1)),
      str('C'),
    );
    expect(numbers(made)).toEqual([1, 2]);
  });
  test('a shape that is not that of the bytes is refused when the file is opened', () => {
    for (const size of [[3], [-1], [2, 2 ** 30]]) {
      expect(refusal(() => opened(str('w'), array('f4', size, floats(1, 2)))).code).toBe('CHECKPOINT_CORRUPT');
    }
  });
  test('arrays of Python objects are no tensors, and say so', () => {
    const objects = bytes(
      call(global('numpy.core.multiarray', '_reconstruct'), global('numpy', 'ndarray'), tuple(int(0)), latin1([98])),
      tuple(int(1), tuple(int(1)), dtype('O8', '|'), bytes(0x89), list(str('x'))),
      'b',
    );
    const error = refusal(() => opened(str('w'), array('f4', [1, 1], floats(1)), str('v'), objects));
    expect([error.code, error.message]).toEqual([
      'PICKLE_UNSUPPORTED',
      expect.stringMatching(/'v' is a numpy array of Python objects/),
    ]);
  });
  test('one array under many names is paid for each time', () => {
    const many = Array.from({length: 200}, (_, i) => bytes(str(`w${i}`), 'h', 1));
    const big = bytes(array('f4', [512, 64], new Uint8Array(131072)), 'q', 1);
    const {stateDict} = openBytes(archive({'data.pkl': pickle('}(', str('a'), big, ...many, 'u')}));
    expect(refusal(() => [...stateDict.values()].map((t) => t.read())).code).toBe('LIMIT_EXCEEDED');
  });
});

test('a tensor of a class of its own is refused where it is a weight; one of PyTorch’s is its tensor', () => {
  const over = tensor(storage('0', int(4)), {size: [int(2), int(2)], stride: [int(2), int(1)]});
  const of = (module: string, name: string) => {
    const [rebuild, args] = [over.subarray(0, over.indexOf(0x28)), over.subarray(over.indexOf(0x28), -1)];
    return call(global('torch._tensor', '_rebuild_from_type_v2'), rebuild, global(module, name), args, bytes('}'));
  };
  const file = (weight: Uint8Array) => archive({'data.pkl': pickle(dict(str('w'), weight)), 'data/0': new Uint8Array(16)});
  expect(openBytes(file(of('torch.nn.parameter', 'Parameter'))).stateDict.get('w')!.shape).toEqual([2, 2]);
  const error = refusal(() => openBytes(file(of('mylib', 'Sub'))));
  expect([error.code, error.message]).toEqual([
    'PICKLE_UNSUPPORTED',
    expect.stringMatching(/'w' is a tensor of the class mylib.Sub/),
  ]);
});
