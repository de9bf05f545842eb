import * as ort from 'onnxruntime-node';
import {byteLength, float32, sourceOf, zeros} from '../../src/core/tensor.js';
import {concatenate, encodeModel, modelBytes} from '../../src/onnx/encode.js';
import {Graph, type Model} from '../../src/onnx/graph.js';
import {parseModel} from '../../src/onnx/parse-text.js';

ort.env.logLevel = 'error';
const run = async (model: Model, feeds: Record<string, ort.Tensor>) => {
  const session = await ort.InferenceSession.create(modelBytes(model), {graphOptimizationLevel: 'disabled'});
  return session.run(feeds);
};

/** ResNet-18's 49 nodes, without its numbers. */
function resnet18Sized(): Model {
  const graph = new Graph('resnet18');
  let x = graph.input('input', 'float32', ['N', 3, 224, 224]);
  const conv = (name: string, o: number, i: number, k: number, relu: boolean) => {
    const parameters = [
      graph.initializer(`${name}.weight`, zeros('float32', [o, i, k, k])),
      graph.initializer(`${name}.bias`, zeros('float32', [o])),
    ];
    const pad = (k - 1) / 2;
    x = graph.op(
      'Conv',
      [x, ...parameters],
      {kernel_shape: [k, k], strides: [1, 1], pads: [pad, pad, pad, pad], dilations: [1, 1], group: 1},
      {name},
    );
    if (relu) x = graph.op('Relu', [x], {}, {name: `${name}.relu`});
  };
  conv('conv1', 64, 3, 7, true);
  x = graph.op('MaxPool', [x], {kernel_shape: [3, 3], strides: [2, 2], pads: [1, 1, 1, 1]}, {name: 'maxpool'});
  for (const [layer, width] of [64, 128, 256, 512].entries()) {
    for (const block of [0, 1]) {
      const shortcut = x;
      const name = `layer${layer + 1}.${block}`;
      const channels = x.dims[1] as number;
      conv(`${name}.conv1`, width, channels, 3, true);
      conv(`${name}.conv2`, width, width, 3, false);
      const y = x;
      x = shortcut;
      if (channels !== width) conv(`${name}.downsample.0`, width, channels, 1, false);
      x = graph.op('Relu', [graph.op('Add', [y, x], {}, {name: `${name}.add`})], {}, {name: `${name}.relu`});
    }
  }
  x = graph.op('Flatten', [graph.op('GlobalAveragePool', [x], {}, {name: 'avgpool'})], {}, {name: 'flatten'});
  const [w, b] = [
    graph.initializer('fc.weight', zeros('float32', [1000, 512])),
    graph.initializer('fc.bias', zeros('float32', [1000])),
  ];
  graph.outputs = [graph.op('Gemm', [x, w, b], {transB: 1}, {name: 'logits'})];
  return {graph, opset: 17, domains: new Map(), irVersion: 8, producer: {name: 'gpd', version: '0.1.0'}, metadata: new Map()};
}

test('a model the size of ResNet-18 costs less than 10 KB beyond its weights', () => {
  const model = resnet18Sized();
  const weights = model.graph.initializers.reduce((n, v) => n + byteLength(v.initializer!), 0);
  expect(model.graph.nodes.length).toBe(49);
  expect(weights).toBe(46_738_848);
  const overhead = encodeModel(model).byteLength - weights;
  expect(overhead).toBeLessThan(10_000);
  expect(overhead).toBeGreaterThan(2_000);
});

test('the same model gives the same bytes, and only one tensor is read at a time', () => {
  const model = resnet18Sized();
  const reads: string[] = [];
  const graph = new Graph('lazy');
  const x = graph.input('x', 'float32', [2]);
  let y = x;
  for (const name of ['a', 'b']) {
    const source = sourceOf(float32([2], [1, 2]));
    const read = () => {
      reads.push(name);
      return source.read();
    };
    y = graph.op('Add', [y, graph.initializer(name, {...source, read})]);
  }
  graph.outputs = [y];
  const encoded = encodeModel({...model, graph});
  expect(reads).toEqual([]);
  const iterator = encoded.chunks()[Symbol.iterator]();
  for (let chunk = iterator.next(); reads.length === 0; chunk = iterator.next()) expect(chunk.done).toBe(false);
  expect(reads).toEqual(['a']);
  expect(concatenate(encoded)).toEqual(concatenate(encoded));
});

test('onnxruntime computes what the text says', async () => {
  const model = parseModel(`
    model opset 17, ir 8, producer "gpd" "1"
    graph g (%x: f32[N, 3]) -> (%y, %s)
      %w = f32[2, 3] {1, 2, 3, 4, 5, 6}
      %b = f32[2] {0.5, -0.5}
      %z = Gemm(%x, %w, %b) {transB = 1, alpha = 2.0}
      %r = Relu(%z)
      %axes = i64[1] {1}
      %s = ReduceSum(%z, %axes) {keepdims = 0}
      %shape = i64[2] {-1, 1}
      %y = Reshape(%r, %shape)`);
  const {y, s} = await run(model, {x: new ort.Tensor('float32', Float32Array.of(1, 0, -1, 1, 1, 1), [2, 3])});
  expect([...(s!.data as Float32Array)]).toEqual([-8, 42]);
  expect([...(y!.data as Float32Array)]).toEqual([0, 0, 12.5, 29.5]);
  expect(y!.dims).toEqual([4, 1]);
});

test.each([
  ['f16', 'float16'],
  ['f64', 'float64'],
  ['i32', 'int32'],
  ['i64', 'int64'],
  ['u8', 'uint8'],
  ['i8', 'int8'],
  ['bool', 'bool'],
] as const)('a constant of type %s arrives', async (short, dtype) => {
  const model = parseModel(`
    graph g (%x: ${short}[2]) -> (%y)
      %c = ${short}[2] {1, 0}
      %both: ${short}[4] = Concat(%c, %x) {axis = 0}
      %y: f32[4] = Cast(%both) {to = 1}`);
  const {y} = await run(model, {x: new ort.Tensor(dtype as 'uint8', zeros(dtype, [2]).data as Uint8Array, [2])});
  expect([...(y!.data as Float32Array)]).toEqual([1, 0, 0, 0]);
});

test('subgraphs see the values around them', async () => {
  const model = parseModel(`
    graph g (%x: f32[2], %c: bool[]) -> (%y)
      %two = f32[] {2}
      %r = Relu(%x)
      %y: f32[2] = If(%c) {
        else_branch = {graph no () -> (%n) %n = Mul(%r, %two)},
        then_branch = {graph yes () -> (%p) %p = Add(%r, %x)}
      }`);
  const feeds = (c: boolean) => ({
    x: new ort.Tensor('float32', Float32Array.of(3, -1), [2]),
    c: new ort.Tensor('bool', [c], []),
  });
  expect([...((await run(model, feeds(true)))['y']!.data as Float32Array)]).toEqual([6, -1]);
  expect([...((await run(model, feeds(false)))['y']!.data as Float32Array)]).toEqual([6, 0]);
  expect(model.graph.prune()).toBe(0);
});
