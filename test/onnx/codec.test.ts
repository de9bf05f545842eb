import {bufferSource} from '../../src/core/bytes.js';
import {sourceOf, zeros} from '../../src/core/tensor.js';
import {checkModel} from '../../src/onnx/check.js';
import {decodeModel} from '../../src/onnx/decode.js';
import {concatenate, encodeModel, modelBytes} from '../../src/onnx/encode.js';
import {Graph} from '../../src/onnx/graph.js';
import {parseModel} from '../../src/onnx/parse-text.js';
import {ModelProto} from '../../src/onnx/proto.js';
import {printModel} from '../../src/onnx/text.js';

/** One of everything. */
const everything = `
  model opset 17, com.microsoft 1, ir 8, producer "gpd" "0.1.0"
  metadata gpd.source = "a \\"b\\" ü"
  graph everything (%x: f32[N, 3, 8, 8], %c: bool[], %"odd name": f16[]) -> (%y, %t)
    %w = f32[4, 3, 3, 3] ~1
    %b = f32[4] {0.1, -0.25, 1e-7, 3}
    %conv = Conv(%x, %w, %b) {pads = [1, 1, 1, 1], kernel_shape = [3, 3]}
    %p: f32[N, 4, 8, 8] = com.microsoft.Clip(%conv, _, %b) {low = -1.0, lows = [-1.0, 0.5], mode = "a", modes = ["b", "c"], n = 3}
    %_1: f32?, %_2: f32? = Strange(%p) {none = 0}
    %h = f16[2] {0.5, -1}
    %bf = bf16[2] {0.5, -1}
    %d = f64[1] {0.1}
    %l = i64[2] {0, 9223372036854775807}
    %i = i32[2] {-1, 2}
    %s = i8[1] {-3}
    %u = u8[1] {200}
    %o = bool[2] {1, 0}
    %s16 = i16[1] {-300}
    %e = f32[0] {}
    %all: f16? = Custom(%h, %bf, %d, %l, %i, %s, %u, %o, %s16, %e) {value = f32[2] {1, 2}}
    %y: f32? = If(%c) {
      else_branch = {graph no () -> (%n) %k = f32[] {2} %n = Mul(%p, %k)},
      then_branch = {graph yes () -> (%m) %m = Add(%p, %conv)}
    }
    _, %t: f16? = Two(%all, %_2)`;

test('decode ∘ encode is the identity on the text, and encode ∘ decode on the bytes', () => {
  const model = parseModel(everything);
  expect(checkModel(model)).toEqual([]);
  const bytes = modelBytes(model, {valueInfo: true});
  const decoded = decodeModel(bytes);
  expect(printModel(decoded)).toBe(printModel(model));
  expect(modelBytes(decoded, {valueInfo: true})).toEqual(bytes);
  expect(printModel(parseModel(printModel(decoded).replace(/#[0-9a-f]{8}/, '~1')))).toBe(printModel(decoded));
});

test('the bytes are those that protobufjs gives for the whole', () => {
  const bytes = modelBytes(parseModel(everything));
  expect(new Uint8Array(ModelProto.encode(ModelProto.decode(bytes)).finish())).toEqual(bytes);
});

test('what is inferred is the same as what was known', () => {
  const text = `
    graph g (%x: f32[N, 3, 8, 8]) -> (%f)
      %w = f32[4, 3, 3, 3] ~1
      %c = Conv(%x, %w) {kernel_shape = [3, 3]}
      %r = Relu(%c)
      %p = GlobalAveragePool(%r)
      %f = Flatten(%p)`;
  const model = parseModel(text);
  expect(printModel(decodeModel(modelBytes(model)))).toBe(printModel(model));
});

describe('a model in a file', () => {
  const large = () => {
    const graph = new Graph('large');
    let x = graph.input('x', 'float32', [1, 1024]);
    for (let i = 0; i < 12; i++) {
      x = graph.op('MatMul', [x, graph.initializer(`w${i}`, zeros('float32', [1024, 1024]))], {}, {name: `y${i}`});
    }
    graph.outputs = [x];
    return {...parseModel('graph g (%x: f32[1]) -> (%x)'), graph};
  };

  test('is read without its numbers', () => {
    const bytes = modelBytes(large());
    let most = 0;
    let total = 0;
    const inner = bufferSource(bytes);
    const source = {
      ...inner,
      read: (offset: number, length: number) => {
        most = Math.max(most, length);
        total += length;
        return inner.read(offset, length);
      },
    };
    const decoded = decodeModel(source);
    expect(total).toBeLessThan(2 * 2 ** 20);
    expect(most).toBeLessThanOrEqual(65536);
    expect(decoded.graph.value('w3')!.initializer!.read([2, 2]).data.length).toBe(4);
  });
});

test('external data: offsets are aligned, small tensors stay inside', () => {
  const model = parseModel(`
    graph g (%x: f32[1, 512]) -> (%y)
      %bias = f32[512] ~1
      %small = f32[200] ~4
      %w = f32[512, 700] {0.5}
      %v = f32[700, 300] {0.25}
      %s = Add(%x, %bias)
      %t = MatMul(%s, %w)
      %y = MatMul(%t, %v)`);
  const encoded = encodeModel(model, {externalData: 'always', location: 'g.data'});
  const data = concatenate(encoded.external!);
  expect(encoded.external!.location).toBe('g.data');
  expect(encoded.byteLength).toBeLessThan(2000);
  const opened: string[] = [];
  const decoded = decodeModel(concatenate(encoded), {
    openExternal: (location) => {
      opened.push(location);
      return bufferSource(data, location);
    },
  });
  expect(printModel(decoded)).toBe(printModel(model));
  expect(new Set(opened)).toEqual(new Set(['g.data']));
  const entries = ModelProto.decode(concatenate(encoded)).graph!.initializer!.map((t) => t.externalData ?? []);
  const offsets = entries.map((list) => list.find((e) => e.key === 'offset')?.value);
  // 512 floats at the start; `small` inside; w has more than 1 MiB: 64 KiB; v less: the next page.
  expect(offsets).toEqual(['0', undefined, '65536', String(4096 * Math.ceil((65536 + 1433600) / 4096))]);
});

test('a model that no protobuf message can hold goes to an external file by itself', () => {
  const graph = new Graph('huge');
  let x = graph.input('x', 'float32', [1, 16384]);
  const source = {...sourceOf(zeros('float32', [1])), shape: [16384, 16384]};
  for (const name of ['a', 'b', 'c']) x = graph.op('MatMul', [x, graph.initializer(name, source)]);
  graph.outputs = [x];
  const model = {...parseModel('graph g (%x: f32[1]) -> (%x)'), graph};
  const encoded = encodeModel(model);
  expect(encoded.external).toMatchObject({location: 'huge.data', byteLength: 3 * 2 ** 30});
  expect(encoded.byteLength).toBeLessThan(1000);
  expect(() => encodeModel(model, {externalData: 'never'})).toThrow(/a protobuf message holds 2147483647/);
});
