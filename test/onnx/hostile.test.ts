/** Models that are not what they say. The answer is always a GpdError with its place, or a model; never a crash, a hang, or much memory. */
import {linkSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {GpdError} from '../../src/core/error.js';
import {checkModel} from '../../src/onnx/check.js';
import {decodeModel} from '../../src/onnx/decode.js';
import {modelBytes} from '../../src/onnx/encode.js';
import {externalFilesIn} from '../../src/onnx/external-data.js';
import {parseModel} from '../../src/onnx/parse-text.js';
import {type GraphMessage, type ModelMessage, ModelProto, type NodeMessage, type TensorMessage} from '../../src/onnx/proto.js';
import {printModel} from '../../src/onnx/text.js';

const bytes = (...parts: (number | readonly number[] | Uint8Array)[]): Uint8Array =>
  Uint8Array.from(parts.flatMap((p) => (typeof p === 'number' ? [p] : [...p])));
const varint = (n: number): number[] => (n < 128 ? [n] : [(n % 128) + 128, ...varint(Math.floor(n / 128))]);
/** A length-delimited field. */
const field = (number: number, content: Uint8Array): Uint8Array =>
  bytes(varint(number * 8 + 2), varint(content.length), content);

const floats = {elemType: 1, shape: {dim: [{dimValue: 2}]}};
const sound: ModelMessage = {
  irVersion: 8,
  opsetImport: [{version: 17}],
  graph: {
    name: 'g',
    input: [{name: 'x', type: {tensorType: floats}}],
    output: [{name: 'y', type: {tensorType: floats}}],
    node: [{opType: 'Add', name: 'add', input: ['x', 'w'], output: ['y']}],
    initializer: [{name: 'w', dataType: 1, dims: [2], rawData: new Uint8Array(8)}],
  },
};
const withGraph = (graph: GraphMessage): Uint8Array =>
  new Uint8Array(ModelProto.encode({...sound, graph: {...sound.graph, ...graph}}).finish());
const withTensor = (tensor: TensorMessage) => withGraph({initializer: [{name: 'w', dataType: 1, dims: [2], ...tensor}]});
const withNode = (node: NodeMessage) =>
  withGraph({node: [{opType: 'Add', name: 'add', input: ['x', 'w'], output: ['y'], ...node}]});

const failure = (read: () => unknown): GpdError => {
  try {
    read();
  } catch (error) {
    if (error instanceof GpdError) return error;
    throw error;
  }
  throw new Error('nothing was refused');
};

test('the sound model is read', () => {
  expect(decodeModel(withGraph({})).graph.outputs[0]!.name).toBe('y');
});

/** Graph in attribute in node in graph … */
function nested(levels: number): Uint8Array {
  // Lengths are written from the inside; only the heads are kept, so that 10⁴ levels cost no quadratic time.
  const heads: number[][] = [];
  let length = 0;
  for (let level = 0; level < levels; level++) {
    const number = [6, 5, 1][level % 3]!;
    const head = [...varint(number * 8 + 2), ...varint(length)];
    heads.push(head);
    length += head.length;
  }
  const body = bytes(...heads.reverse().slice((levels - 3) % 3));
  return bytes([8, 8], field(7, body));
}

describe('the wire format', () => {
  test.each<[name: string, input: Uint8Array, code: string, message: RegExp]>([
    ['nothing', bytes(), 'GRAPH_INVALID', /not an ONNX model/],
    ['10,002 nested messages', nested(10_002), 'LIMIT_EXCEEDED', /nested more than 100 deep/],
    ['a group', bytes(0x3b, 0x3c), 'CHECKPOINT_CORRUPT', /wire type 3 \(a group\).*at byte 0/],
    ['10,000 groups', bytes(new Uint8Array(10_000).fill(0x0b)), 'CHECKPOINT_CORRUPT', /a group/],
    ['wire type 7', bytes(0x0f), 'CHECKPOINT_CORRUPT', /wire type 7/],
    ['field 0', bytes(0x02, 0), 'CHECKPOINT_CORRUPT', /no field 0/],
    ['a varint of 11 bytes', bytes(0x08, new Uint8Array(10).fill(0xff), 1), 'CHECKPOINT_CORRUPT', /more than 10 bytes/],
    ['a length beyond the end', bytes(0x3a, 100, 0), 'CHECKPOINT_TRUNCATED', /100 bytes is declared where 1 are left/],
    ['a length of 2³¹', bytes(0x3a, varint(2 ** 31)), 'CHECKPOINT_TRUNCATED', /2147483648 bytes/],
    ['a length of 2⁶³', bytes(0x3a, new Uint8Array(9).fill(0xff), 1), 'CHECKPOINT_TRUNCATED', /is declared/],
    [
      'an inner length beyond the outer',
      bytes(0x3a, 4, 0x0a, 50, 0, 0, new Uint8Array(100)),
      'CHECKPOINT_TRUNCATED',
      /50 bytes/,
    ],
    ['an int where the graph belongs', bytes(0x38, 5), 'CHECKPOINT_CORRUPT', /field 7 of Model has wire type 0/],
    ['two graphs', bytes(field(7, bytes()), field(7, bytes())), 'CHECKPOINT_CORRUPT', /field 7 of Model is there twice/],
    ['functions', bytes(field(25, bytes())), 'GRAPH_INVALID', /model-local functions/],
    [
      'a list that ends inside an integer',
      bytes(field(7, field(5, field(1, bytes(0x81))))),
      'CHECKPOINT_TRUNCATED',
      /ends after/,
    ],
    ['floats of 3 bytes', bytes(field(7, field(5, field(4, bytes(1, 2, 3))))), 'CHECKPOINT_CORRUPT', /list of 3 bytes, 4 each/],
    ['a segmented tensor', bytes(field(7, field(5, field(3, bytes())))), 'GRAPH_INVALID', /segments/],
  ])('%s', (_, input, code, message) => {
    const error = failure(() => decodeModel(input));
    expect([error.code, error.message]).toEqual([code, expect.stringMatching(message)]);
  });

  test('millions of tiny fields are too many, without delay', () => {
    const names = new Uint8Array(18_000_000);
    for (let i = 0; i < names.length; i += 2) names[i] = 0x0a; // node.input = ''
    expect(failure(() => decodeModel(bytes2(0x3a, names))).code).toBe('LIMIT_EXCEEDED');
  });
  const bytes2 = (tag: number, node: Uint8Array) => {
    const inner = Buffer.concat([Uint8Array.from([0x0a, ...varint(node.length)]), node]);
    return new Uint8Array(Buffer.concat([Uint8Array.from([tag, ...varint(inner.length)]), inner]));
  };

  const small = modelBytes(
    parseModel(`
      graph g (%x: f32[N, 2]) -> (%y)
        %w = f32[2] {1, 2}
        %a = Add(%x, %w)
        %y: f32? = If(%a) {then_branch = {graph t () -> (%z) %z = Relu(%a)}, f = [1.5], i = [1, 2], s = "text"}`),
  );
  const outcome = (input: Uint8Array) => {
    try {
      const model = decodeModel(input);
      checkModel(model);
      return printModel(model).length > 0;
    } catch (error) {
      if (error instanceof GpdError) return true;
      throw error;
    }
  };
  test('every truncation', () => {
    for (let n = 0; n < small.length; n++) expect(outcome(small.subarray(0, n))).toBe(true);
  });
  test('every change of one bit, and every byte at its extremes', () => {
    for (let i = 0; i < small.length; i++) {
      for (const change of [1, 2, 4, 8, 16, 32, 64, 128, 255]) {
        const changed = small.slice();
        changed[i]! ^= change;
        expect(outcome(changed)).toBe(true);
      }
    }
  });
});

describe('tensors', () => {
  test.each<[name: string, tensor: TensorMessage, message: RegExp]>([
    ['too few bytes', {rawData: new Uint8Array(7)}, /has 7 bytes, float32\[2\] needs 8/],
    ['raw and typed', {rawData: new Uint8Array(8), floatData: [1, 2]}, /two places/],
    ['raw and external', {rawData: new Uint8Array(8), dataLocation: 1}, /two places/],
    ['no numbers', {}, /has no numbers/],
    ['too few numbers', {floatData: [1]}, /has 1 numbers, \[2\] needs 2/],
    ['numbers of another type', {int32Data: [1, 2]}, /is float32, its numbers are in field 5/],
    ['a negative dimension', {dims: [-1], rawData: new Uint8Array(0)}, /impossible shape \[-1\]/],
    ['dimensions that overflow', {dims: [2 ** 31, 2 ** 31], rawData: new Uint8Array(0)}, /impossible shape/],
    ['dimensions that overflow to 0', {dims: [2 ** 32, 2 ** 32, 0], rawData: new Uint8Array(0)}, /impossible shape/],
    ['a huge shape without numbers', {dims: [2 ** 40]}, /has no numbers/],
    ['65 dimensions', {dims: new Array(65).fill(1), rawData: new Uint8Array(4)}, /65 dimensions/],
    ['an unknown type', {dataType: 99, rawData: new Uint8Array(8)}, /data type 99/],
    ['strings', {dataType: 8, dims: [1]}, /tensor 'w' holds text, which is not read/],
  ])('%s', (_, tensor, message) => {
    const error = failure(() => decodeModel(withTensor(tensor)));
    expect([error.code, error.message]).toEqual(['GRAPH_INVALID', expect.stringMatching(message)]);
    expect(error.at).toMatch(/^model@\d+$/);
  });

  test.each<[name: string, tensor: TensorMessage, expected: (number | bigint)[]]>([
    ['float_data', {floatData: [1.5, -2]}, [1.5, -2]],
    ['double_data', {dataType: 11, doubleData: [0.1, -2]}, [0.1, -2]],
    ['int64_data', {dataType: 7, int64Data: [-1, 2 ** 40 + 3]}, [-1n, 2n ** 40n + 3n]],
    ['int32_data', {dataType: 6, int32Data: [-1, 2 ** 31 - 1]}, [-1, 2 ** 31 - 1]],
    ['int8 in int32_data', {dataType: 3, int32Data: [-128, 127]}, [-128, 127]],
    ['bool in int32_data', {dataType: 9, int32Data: [0, 2]}, [0, 1]],
    ['float16 in int32_data', {dataType: 10, int32Data: [0x3c00, 0xc000]}, [0x3c00, 0xc000]],
    ['an empty tensor', {dims: [0]}, []],
  ])('numbers from %s', (_, tensor, expected) => {
    const {data} = decodeModel(withTensor(tensor)).graph.value('w')!.initializer!.read();
    expect([...(data as Iterable<number | bigint>)]).toEqual(expected);
  });
});

describe('graphs', () => {
  const relu = (input: string, output: string, name = output) => ({opType: 'Relu', name, input: [input], output: [output]});
  test.each<[name: string, input: Uint8Array, message: RegExp]>([
    ['a cycle', withGraph({node: [relu('y', 'z'), relu('z', 'y')]}), /Relu 'z' uses 'y', which is not defined before/],
    ['a node that feeds itself', withNode({input: ['y', 'w']}), /uses 'y'/],
    ['unsorted nodes', withGraph({node: [relu('z', 'y'), relu('x', 'z')]}), /nodes must be in order/],
    ['two values of one name', withGraph({node: [relu('x', 'y'), relu('x', 'y', 'other')]}), /'y' is defined twice/],
    ['an output that is an input', withNode({output: ['x']}), /'x' is defined twice/],
    ['two outputs of one name', withNode({output: ['y', 'y']}), /two outputs of one name/],
    ['a node without outputs', withNode({output: []}), /has no outputs/],
    ['a node without operator', withNode({opType: ''}), /has no operator/],
    ['an output that nobody makes', withGraph({output: [{name: 'q'}]}), /output 'q' is not produced/],
    ['an input that is no tensor', withGraph({input: [{name: 'x', type: {sequenceType: {}}}]}), /input 'x' is not a tensor/],
    ['a value without a name', withGraph({input: [{name: '', type: {tensorType: floats}}]}), /without a name/],
    [
      'a negative dimension',
      withGraph({input: [{name: 'x', type: {tensorType: {elemType: 1, shape: {dim: [{dimValue: -3}]}}}}]}),
      /impossible shape/,
    ],
    [
      'an attribute twice',
      withNode({
        attribute: [
          {name: 'a', type: 2},
          {name: 'a', type: 2},
        ],
      }),
      /attribute 'a' twice/,
    ],
    ['an attribute of a type', withNode({attribute: [{name: 'a', type: 13}]}), /is of type 13/],
    ['an attribute that is not text', withNode({attribute: [{name: 'a', type: 3, s: Uint8Array.of(0xff)}]}), /not UTF-8/],
  ])('%s', (_, input, message) => {
    const error = failure(() => decodeModel(input));
    expect([error.code, error.message]).toEqual(['GRAPH_INVALID', expect.stringMatching(message)]);
  });

  test.each<[name: string, change: ModelMessage, message: RegExp]>([
    ['no opset', {opsetImport: []}, /does not say which opset/],
    ['opset 0', {opsetImport: [{version: 0}]}, /no opset 0/],
    ['opset 999', {opsetImport: [{version: 999}]}, /no opset 999/],
    ['two opsets', {opsetImport: [{version: 17}, {domain: 'ai.onnx', version: 18}]}, /imported twice/],
    ['no IR version', {irVersion: 0}, /not an ONNX model/],
    ['no graph', {graph: null}, /not an ONNX model/],
  ])('%s', (_, change, message) => {
    const error = failure(() => decodeModel(new Uint8Array(ModelProto.encode({...sound, ...change}).finish())));
    expect([error.code, error.message]).toEqual(['GRAPH_INVALID', expect.stringMatching(message)]);
  });

  test('names of Object.prototype are names like others', () => {
    const names = ['__proto__', 'constructor', 'toString'];
    const node = names.map((name, i) => ({
      ...relu(names[i - 1] ?? 'x', name),
      attribute: [{name: '__proto__', type: 2, i: 1}],
    }));
    const model = decodeModel(withGraph({node: [...node, relu('toString', 'y')]}));
    expect(model.graph.nodes.map((n) => n.output.name)).toEqual([...names, 'y']);
    expect(model.graph.nodes[0]!.number('__proto__', 0)).toBe(1);
  });

  test('dimension names do not grow without bounds', () => {
    const node = Array.from({length: 60}, (_, i) => [
      {opType: 'Concat', input: [`v${i}`, `v${i}`], output: [`c${i}`], attribute: [{name: 'axis', type: 2, i: 0}]},
      {opType: 'MatMul', input: [`c${i}`, `c${i}`], output: [`v${i + 1}`]},
    ]).flat();
    const input = [{name: 'v0', type: {tensorType: {elemType: 1, shape: {dim: [{dimParam: 'n'}, {dimParam: 'n'}]}}}}];
    const model = decodeModel(withGraph({input, node, initializer: [], output: [{name: 'v60'}]}));
    expect(printModel(model).length).toBeLessThan(100_000);
  });

  test('an initializer that is also an input, as before IR 4, is a constant', () => {
    const input = ['x', 'w'].map((name) => ({name, type: {tensorType: floats}}));
    const {graph} = decodeModel(withGraph({input}));
    expect(graph.inputs.map((v) => v.name)).toEqual(['x']);
    expect(graph.value('w')!.initializer).toBeDefined();
  });
});

describe('external data', () => {
  let folder = '';
  let inside = '';
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'gpd-external-'));
    inside = join(folder, 'model');
    mkdirSync(join(inside, 'sub'), {recursive: true});
    writeFileSync(join(folder, 'secret.bin'), new Uint8Array(64));
    writeFileSync(join(inside, 'w.bin'), Float32Array.of(1, 2, 3, 4));
    writeFileSync(join(inside, 'sub', 'w.bin'), Float32Array.of(5, 6));
    writeFileSync(join(inside, 'twin.bin'), new Uint8Array(64));
    linkSync(join(inside, 'twin.bin'), join(inside, 'hard.bin'));
    symlinkSync(join(folder, 'secret.bin'), join(inside, 'soft.bin'));
    symlinkSync(folder, join(inside, 'up'));
  });
  afterAll(() => rmSync(folder, {recursive: true}));

  const read = (entries: Record<string, string>) => {
    const externalData = Object.entries(entries).map(([key, value]) => ({key, value}));
    const files = externalFilesIn(inside);
    try {
      const model = decodeModel(withTensor({dataLocation: 1, externalData}), {openExternal: files.open});
      return [...(model.graph.value('w')!.initializer!.read().data as Float32Array)];
    } finally {
      files.close();
    }
  };

  test('beside the model', () => {
    expect(read({location: 'w.bin', offset: '4', length: '8'})).toEqual([2, 3]);
    expect(read({location: 'w.bin', checksum: 'anything'})).toEqual([1, 2]);
    expect(read({location: 'sub/w.bin'})).toEqual([5, 6]);
  });

  test.each([
    ['../secret.bin', /contains '\.\.'/],
    ['sub/../../secret.bin', /contains '\.\.'/],
    ['/etc/passwd', /absolute/],
    ['C:/secret.bin', /colon/],
    ['\\\\server\\share', /backslash/],
    ['w.bin\0.txt', /NUL/],
    ['', /is empty/],
    ['.', /empty part/],
    ['./w.bin', /empty part/],
    ['soft.bin', /symbolic link/],
    ['up/secret.bin', /symbolic link/],
    ['hard.bin', /2 hard links/],
    ['sub', /is a directory/],
    ['absent.bin', /which does not lie beside it/],
    ['a'.repeat(5000), /name|path/],
  ])('%j is not opened', (location, message) => {
    const error = failure(() => read({location}));
    expect([error.code, error.message]).toEqual(['FILE_UNREADABLE', expect.stringMatching(message)]);
  });

  test.each<[entries: Record<string, string>, message: RegExp]>([
    [{}, /does not say in which/],
    [{location: 'w.bin', offset: '12'}, /bytes 12 to 20 of 'w\.bin', which has 16/],
    [{location: 'w.bin', offset: '-4'}, /offset '-4'/],
    [{location: 'w.bin', offset: '1e3'}, /offset '1e3'/],
    [{location: 'w.bin', offset: '18446744073709551615'}, /offset/],
    [{location: 'w.bin', length: '4'}, /has 4 bytes, float32\[2\] needs 8/],
    [{location: 'w.bin', __proto__x: '1'}, /unknown external data key/],
  ])('%j is refused', (entries, message) => {
    const error = failure(() => read(entries));
    expect([error.code, error.message]).toEqual(['GRAPH_INVALID', expect.stringMatching(message)]);
  });

  test('bytes that many tensors share are paid for each time', () => {
    const million = 1_000_000;
    writeFileSync(join(inside, 'big.bin'), new Uint8Array(4 * million));
    const externalData = [{key: 'location', value: 'big.bin'}];
    const far = {dataType: 1, dims: [million], dataLocation: 1, externalData};
    const initializer = [
      {name: 'w', dataType: 1, dims: [2], rawData: new Uint8Array(8)},
      ...Array.from({length: 9}, (_, i) => ({...far, name: `w${i}`})),
    ];
    const files = externalFilesIn(inside);
    try {
      const {graph} = decodeModel(withGraph({initializer}), {openExternal: files.open});
      const readAll = (count: number) => {
        for (let i = 0; i < count; i++) graph.value(`w${i}`)!.initializer!.read();
      };
      readAll(2); // the file's size, and the allowance
      readAll(2);
      expect([failure(() => readAll(9)).code, failure(() => readAll(9)).at]).toEqual(['LIMIT_EXCEEDED', 'model#w2']);
    } finally {
      files.close();
    }
  });

  test('nothing is opened for a model that came without a folder', () => {
    const input = withTensor({dataLocation: 1, externalData: [{key: 'location', value: 'w.bin'}]});
    expect(failure(() => decodeModel(input)).message).toMatch(/'w\.bin', which was not given/);
  });
});
