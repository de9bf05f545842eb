import {describeTree, toJson} from '../../src/checkpoint/describe-tree.js';
import {allowedGlobals} from '../../src/checkpoint/pickle-globals.js';
import {MAX_MARKS} from '../../src/checkpoint/pickle-machine.js';
import {opcodes, refusedOpcodes} from '../../src/checkpoint/pickle-opcodes.js';
import {isKind, OrderedDict} from '../../src/checkpoint/plain-data.js';
import {bytes, dict, global, int, long, pickle, read, refusal, storage, str, tuple, u32, u64} from './assembler.js';

const code = (data: Uint8Array) => refusal(() => read(data)).code;

describe('plain data', () => {
  test.each([
    ['None', pickle('N'), null],
    ['booleans', pickle('(', 0x88, 0x89, 't'), {kind: 'tuple', items: [true, false]}],
    ['integers', pickle('](K', 7, 'M', [1, 2], int(-3), 'e'), [7, 513, -3]],
    ['a negative LONG1', pickle(0x8a, 2, [0x00, 0xff]), -256],
    ['an empty LONG1', pickle(0x8a, 0), 0],
    ['a LONG1 beyond 2^53', pickle(long(2n ** 62n)), 2n ** 62n],
    ['the most negative eight bytes', pickle(long(-(2n ** 63n))), -(2n ** 63n)],
    ['floats', pickle('G', [0x3f, 0xb9, 0x99, 0x99, 0x99, 0x99, 0x99, 0x9a]), 0.1],
    ['strings', pickle(str('Grün')), 'Grün'],
    ['a byte order mark', pickle(str('\ufeffa')), '\ufeffa'],
    ['small tuples', pickle('K', 1, 0x85, 'K', 2, 0x86), {kind: 'tuple', items: [{kind: 'tuple', items: [1]}, 2]}],
    ['the memo', pickle('](K', 5, 'q', 9, 'h', 9, 'e'), [5, 5]],
  ])('%s', (_, data, expected) => {
    expect(read(data)).toEqual(expected);
  });

  test('protocol 4 with frames, short strings and STACK_GLOBAL', () => {
    const body = bytes(0x8c, 11, 'collections', 0x94, 0x8c, 11, 'OrderedDict', 0x94, 0x93, 0x94, ')R', 0x94, '.');
    const value = read(bytes(0x80, 4, 0x95, u64(BigInt(body.length)), body));
    expect(value).toBeInstanceOf(OrderedDict);
  });

  test('dangerous keys are ordinary keys', () => {
    const value = read(pickle(dict(str('__proto__'), int(1), str('constructor'), int(2))));
    expect(value).toEqual(
      new Map([
        ['__proto__', 1],
        ['constructor', 2],
      ]),
    );
    expect(({} as Record<string, unknown>)['1']).toBeUndefined();
    const json = toJson(value) as object;
    expect(Object.getPrototypeOf(json)).toBeNull();
    expect(Object.keys(json)).toEqual(['__proto__', 'constructor']);
  });

  test('argparse.Namespace is a record', () => {
    const value = read(pickle(global('argparse', 'Namespace'), ')', 0x81, dict(str('gpd_ratio'), int(2)), 'b'));
    expect(isKind(value, 'namespace') && value.fields.get('gpd_ratio')).toBe(2);
  });

  test('numpy scalars become numbers', () => {
    const dtype = bytes(
      global('numpy', 'dtype'),
      tuple(str('f8'), bytes(0x89), bytes(0x88)),
      'R',
      tuple(int(3), str('<'), bytes('NNN'), int(-1), int(-1), int(0)),
      'b',
    );
    const data = bytes(global('_codecs', 'encode'), tuple(str('\0\0\0\0\0\0\xf8?'), str('latin1')), 'R');
    expect(read(pickle(global('numpy.core.multiarray', 'scalar'), dtype, data, 0x86, 'R'))).toBe(1.5);
  });

  test('a state dict keeps its order and loses its attributes', () => {
    const attributes = dict(str('_metadata'), bytes('}'));
    const value = read(
      pickle(global('collections', 'OrderedDict'), ')R(', str('b'), int(1), str('a'), int(2), 'u', attributes, 'b'),
    );
    expect([...(value as OrderedDict).keys()]).toEqual(['b', 'a']);
  });
});

describe('the allow-list', () => {
  test('holds nothing but what a checkpoint needs', () => {
    const modules = new Set([...allowedGlobals.values()].map(({module}) => module));
    const python = [
      ...['__builtin__', '_codecs', '_io', '_operator', '_pydecimal', 'abc', 'argparse', 'array', 'builtins', 'collections'],
      ...['configparser', 'copy_reg', 'copyreg', 'dataclasses', 'datetime', 'decimal', 'enum', 'exceptions', 'fractions'],
      ...['functools', 'io', 'ipaddress', 'itertools', 'logging', 'operator', 'pathlib', 'pathlib._local', 'random', 're'],
      ...['sre_compile', 'time', 'types', 'typing', 'uuid', 'zoneinfo'],
    ];
    const numpy = ['numpy', ...['', '.multiarray', '.numeric'].flatMap((part) => [`numpy._core${part}`, `numpy.core${part}`])];
    const torch = ['torch', 'torch._C', 'torch._tensor', 'torch._utils', 'torch.serialization'];
    expect([...modules].sort()).toEqual([...python, ...numpy, ...torch].sort());
    for (const {name} of allowedGlobals.values()) expect(name).not.toContain('.');
    const acts = [...allowedGlobals.keys()].filter((key) =>
      /eval|exec|getattr|import|system|open|load|Popen|reduce$/.test(key),
    );
    expect(acts).toEqual(['builtins getattr', '__builtin__ getattr']); // it joins names: `test/checkpoint/inert.test.ts`
  });

  test.each([
    ...['system', 'popen', 'execv', 'path.join', 'remove'].map((name) => ['os', name]),
    ...['posix', 'nt', 'posixpath', 'genericpath'].map((module) => [module, 'system']),
    ...[
      'eval',
      'exec',
      'compile',
      '__import__',
      'open',
      'input',
      'print',
      'globals',
      'vars',
      'map',
      'apply',
      'getattr.x',
    ].flatMap((name) => [
      ['builtins', name],
      ['__builtin__', name],
    ]),
    ...['Popen', 'call', 'run', 'check_output'].map((name) => ['subprocess', name]),
    ...['load', 'compile', 'hub.load', 'nn.Linear'].map((name) => ['torch', name]),
    ['torch.hub', 'load'],
    ['torch.serialization', 'load'],
    ['torch.storage', '_load_from_bytes'],
    ['torch.jit', 'load'],
    ['torch._C', '_jit_init'],
    ['torch.utils.cpp_extension', 'load_inline'],
    ['numpy', 'load'],
    ['numpy.testing._private.utils', 'runstring'],
    ['numpy.f2py.crackfortran', 'myeval'],
    ['importlib', 'import_module'],
    ['runpy', '_run_code'],
    ['pickle', 'loads'],
    ['_pickle', 'loads'],
    ['dill._dill', '_create_function'],
    ['cloudpickle.cloudpickle', '_make_function'],
    ['joblib', 'load'],
    ['marshal', 'loads'],
    ['types', 'FunctionType'],
    ['types', 'CodeType'],
    ['functools', 'reduce'],
    ['operator', 'methodcaller'],
    ['_operator', 'attrgetter.x'],
    ['ctypes', 'CDLL'],
    ['shutil', 'rmtree'],
    ['socket', 'socket'],
    ['webbrowser', 'open'],
    ['_posixsubprocess', 'fork_exec'],
    ['code', 'InteractiveInterpreter'],
    ['pip', 'main'],
    ['pip._internal', 'main'],
    ['requests.api', 'get'],
    ['collections', 'OrderedDict.__init__'],
    ['collections OrderedDict', ''],
    ['', 'collections OrderedDict'],
    ['a.b', ''],
    ['a..b', 'c'],
    ['__main__', 'Net()'],
    ['__main__', 'x\u001b[2J'],
    ['__torch__', 'Net'],
    ['torch._utils', '_rebuild_qtensor'],
    ['torch._utils', '_rebuild_wrapper_subclass'],
  ])('GLOBAL and STACK_GLOBAL of %s %s are refused', (module, name) => {
    expect(code(pickle(global(module!, name!)))).toBe('PICKLE_UNSUPPORTED');
    expect(code(pickle(str(module!), str(name!), 0x93))).toBe('PICKLE_UNSUPPORTED');
  });

  test('messages say that nothing ran, or what the file is', () => {
    expect(refusal(() => read(pickle(global('os', 'system')))).message).toMatch(
      /"os.system".*nothing was executed.*GLOBAL at offset 2/,
    );
    expect(refusal(() => read(pickle(global('__torch__.net', 'Net')))).message).toMatch(/TorchScript/);
  });
});

describe('refused', () => {
  test.each(Object.entries(refusedOpcodes).map(([byte, [name]]) => [name, Number(byte)] as const))('opcode %s', (_, byte) => {
    expect(code(pickle('N', byte))).toBe('PICKLE_UNSUPPORTED');
  });
  test('every other byte is an error too', () => {
    for (let byte = 0; byte < 256; byte++) {
      if (byte in opcodes || byte in refusedOpcodes) continue;
      expect(code(pickle(byte))).toBe('PICKLE_INVALID');
    }
    expect(Object.keys(opcodes).filter((byte) => byte in refusedOpcodes)).toEqual([]);
  });

  const ordered = bytes(global('collections', 'OrderedDict'), ')R');
  test.each<[string, Uint8Array, string]>([
    ['REDUCE on a string', pickle(str('x'), ')R'), 'PICKLE_INVALID'],
    ['REDUCE on a dict', pickle('})R'), 'PICKLE_INVALID'],
    ['REDUCE with a list of arguments', pickle(global('collections', 'OrderedDict'), ']R'), 'PICKLE_INVALID'],
    ['REDUCE on a dtype', pickle(global('torch', 'float32'), ')R'), 'PICKLE_UNSUPPORTED'],
    ['REDUCE on a storage class', pickle(global('torch', 'FloatStorage'), ')R'), 'PICKLE_UNSUPPORTED'],
    ['NEWOBJ on a function', pickle(global('torch._utils', '_rebuild_tensor_v2'), ')', 0x81), 'PICKLE_UNSUPPORTED'],
    ['SETITEM on a list', pickle(']NNs'), 'PICKLE_INVALID'],
    ['SETITEM on a tuple', pickle(')NNs'), 'PICKLE_INVALID'],
    ['SETITEMS on a Namespace', pickle(global('argparse', 'Namespace'), ')', 0x81, '(', str('a'), 'Nu'), 'PICKLE_INVALID'],
    ['SETITEMS with a key alone', pickle('}(Nu'), 'PICKLE_INVALID'],
    ['a list as a key', pickle('}]Ns'), 'PICKLE_INVALID'],
    ['APPEND to a dict', pickle('}Na'), 'PICKLE_INVALID'],
    ['APPENDS to a string', pickle(str('a'), '(Ne'), 'PICKLE_INVALID'],
    ['ADDITEMS to a list', pickle('](N', 0x90), 'PICKLE_INVALID'],
    ['BUILD on a list', pickle(']}b'), 'PICKLE_INVALID'],
    ['BUILD of an OrderedDict from a list', pickle(ordered, ']b'), 'PICKLE_INVALID'],
    ['BUILD of a Namespace from a list', pickle(global('argparse', 'Namespace'), ')', 0x81, ']b'), 'PICKLE_INVALID'],
    [
      'BUILD with a field that is no string',
      pickle(global('argparse', 'Namespace'), ')', 0x81, dict(int(1), int(2)), 'b'),
      'PICKLE_INVALID',
    ],
    ['OrderedDict of nonsense', pickle(global('collections', 'OrderedDict'), '](Ne', 0x85, 'R'), 'PICKLE_INVALID'],
    ['STACK_GLOBAL of numbers', pickle('K\x01K\x02', 0x93), 'PICKLE_INVALID'],
    ['an empty stack', pickle('a'), 'PICKLE_INVALID'],
    ['an empty stack at STOP', pickle(), 'PICKLE_INVALID'],
    ['SETITEM with too little', pickle('Ns'), 'PICKLE_INVALID'],
    ['a missing MARK', pickle('Nt'), 'PICKLE_INVALID'],
    ['values left over', pickle('NN'), 'PICKLE_INVALID'],
    ['a MARK left over', pickle('(N'), 'PICKLE_INVALID'],
    ['an unset memo entry', pickle('h\x00'), 'PICKLE_INVALID'],
    ['a memo index of 2^31', pickle('Nr', u32(2 ** 31)), 'PICKLE_INVALID'],
    ['a memo of nothing', pickle('q\x00'), 'PICKLE_INVALID'],
    ['a cut argument', bytes(0x80, 2, 'J\x01'), 'CHECKPOINT_TRUNCATED'],
    ['no STOP', bytes(0x80, 2, 'N'), 'CHECKPOINT_TRUNCATED'],
    ['nothing at all', bytes(), 'CHECKPOINT_TRUNCATED'],
    ['a string longer than the file', pickle('X', u32(0xffffffff), 'abc'), 'CHECKPOINT_TRUNCATED'],
    ['a BINUNICODE8 of 2^60', pickle(0x8d, u64(2n ** 60n)), 'PICKLE_INVALID'],
    ['a LONG1 of 255 bytes that are not there', pickle(0x8a, 255, [1, 2]), 'CHECKPOINT_TRUNCATED'],
    ['invalid UTF-8', pickle('X', u32(2), [0xc3, 0x28]), 'PICKLE_INVALID'],
    ['an overlong encoding', pickle('X', u32(2), [0xc0, 0xaf]), 'PICKLE_INVALID'],
    ['a GLOBAL without an end', pickle('c', 'x'.repeat(300)), 'PICKLE_INVALID'],
    ['protocol 0', bytes(0x80, 0, 'N.'), 'PICKLE_UNSUPPORTED'],
    ['protocol 1', bytes(0x80, 1, 'N.'), 'PICKLE_UNSUPPORTED'],
    ['protocol 6', bytes(0x80, 6, 'N.'), 'PICKLE_UNSUPPORTED'],
    ['two PROTOs', bytes(0x80, 2, 0x80, 2, 'N.'), 'PICKLE_INVALID'],
    ['no PROTO', bytes('N.'), 'PICKLE_INVALID'],
    ['a text pickle', bytes("cos\nsystem\n(S'true'\ntR."), 'PICKLE_INVALID'],
    ['a frame that an opcode crosses', bytes(0x80, 4, 0x95, u64(2n), 'J\x01\0\0\0.'), 'PICKLE_INVALID'],
    ['a frame beyond the end', bytes(0x80, 4, 0x95, u64(99n), 'N.'), 'CHECKPOINT_TRUNCATED'],
    ['a frame in a frame', bytes(0x80, 4, 0x95, u64(11n), 0x95, u64(2n), 'N.'), 'PICKLE_INVALID'],
    ['deep marks', bytes(0x80, 2, '('.repeat(MAX_MARKS + 1)), 'LIMIT_EXCEEDED'],
    ['a complex storage', pickle(storage('0', int(1), 'ComplexFloatStorage')), 'DTYPE_UNSUPPORTED'],
    ['a quantised storage', pickle(storage('0', int(1), 'QInt8Storage')), 'DTYPE_UNSUPPORTED'],
    ['a storage class that is none', pickle(storage('0', int(1), 'float32')), 'PICKLE_INVALID'],
    ['a negative storage', pickle(storage('0', int(-1))), 'PICKLE_INVALID'],
    ['a storage of 2^63', pickle(storage('0', long(2n ** 62n))), 'PICKLE_INVALID'],
    ['a storage with two sizes', pickle('(', storage('0', int(1)), storage('0', int(2)), 't'), 'PICKLE_INVALID'],
    ['a persistent id of its own', pickle(tuple(str('module'), str('x')), 'Q'), 'PICKLE_UNSUPPORTED'],
    ['a persistent id that is a string', pickle(str('x'), 'Q'), 'PICKLE_INVALID'],
    [
      '_codecs.encode to anything else',
      pickle(global('_codecs', 'encode'), tuple(str('a'), str('rot13')), 'R'),
      'PICKLE_UNSUPPORTED',
    ],
    [
      'a numpy dtype of a byte order that is none',
      pickle(global('numpy', 'dtype'), tuple(str('f8')), 'R', tuple(int(3), str('=')), 'b'),
      'PICKLE_INVALID',
    ],
    ['a numpy dtype called constructor', pickle(global('numpy', 'dtype'), tuple(str('constructor')), 'R'), 'PICKLE_INVALID'],
    ['an object whose state is given to a list', pickle(']', global('__main__', 'C'), ')', 0x81, 'b'), 'PICKLE_INVALID'],
    ['a call of what is no name', pickle(global('__main__', 'C'), ')R', ')R'), 'PICKLE_INVALID'],
    ['SETITEMS on a path', pickle(global('pathlib', 'PosixPath'), ')R(NNu'), 'PICKLE_INVALID'],
  ])('%s', (_, data, expected) => {
    expect(code(data)).toBe(expected);
  });
});

describe('structures that would hang a careless reader', () => {
  test('a list that contains itself', () => {
    const value = read(pickle(']q\x00h\x00a'));
    expect((value as unknown[])[0]).toBe(value);
    expect(describeTree(value).map(({text}) => text)).toEqual(['list (1)', 'list that contains itself']);
    expect(toJson(value)).toEqual([[[[[['list (1)']]]]]]);
  });

  const deep = (levels: number) => pickle(']'.repeat(levels), 'a'.repeat(levels - 1));
  test('a hundred thousand levels', () => {
    expect(describeTree(read(deep(100_000))).length).toBe(5);
    expect(JSON.stringify(toJson(read(deep(100_000)))).length).toBeLessThan(100);
  });
  test('a million levels: more memory than a file of that size may ask for', () => {
    expect(code(deep(1_000_000))).toBe('LIMIT_EXCEEDED');
  });

  test('sharing that multiplies: 10^12 values in 300 bytes', () => {
    const level = (n: number) => bytes('](', ...Array<Uint8Array>(10).fill(bytes('h', n)), 'eq', n + 1); // ten times the list before
    const value = read(pickle('(]q', 0, ...Array.from({length: 12}, (_, n) => level(n)), 't'));
    expect(describeTree(value, {maxDepth: 20}).length).toBeLessThanOrEqual(20_000);
    expect(JSON.stringify(toJson(value)).length).toBeLessThan(1_000_000);
  });
});
