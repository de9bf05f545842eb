/** Small networks for tests: a convolution, an activation, pooling and a classifier, with seeded weights. */
import {fillUniform} from '../../src/core/random.js';
import {float32, int64, type Shape, type Tensor} from '../../src/core/tensor.js';
import {Graph, type Model, type Value} from '../../src/onnx/graph.js';

export interface TinyOptions {
  seed?: string;
  classes?: number;
  side?: number;
  batch?: number | string;
  /** Added to each weight of the named constant. */
  disturb?: {name: string; by: number};
  /** Every weight of the constants whose names begin so becomes another. */
  change?: {name: string; to: (weight: number) => number};
  /** What gives the network its images; default: the graph's input. */
  begin?: (graph: Graph) => Value;
  /** What comes after the logits. */
  end?: ((graph: Graph, logits: Value) => Value) | undefined;
}

/** Ends that other tools give a classifier. */
export const ends = {
  softmax: (graph: Graph, x: Value) => graph.op('Softmax', [x], {axis: 1}, {name: 'prob'}),
  sigmoid: (graph: Graph, x: Value) => graph.op('Sigmoid', [x], {}, {name: 'each'}),
  logSoftmax: (graph: Graph, x: Value) => graph.op('LogSoftmax', [x], {axis: 1}, {name: 'logprob'}),
  /** The same without its node: e^x over its sum. */
  spelledOut(graph: Graph, x: Value) {
    const powers = graph.op('Exp', [x], {}, {name: 'exp'});
    return graph.op(
      'Div',
      [powers, graph.op('ReduceSum', [powers, graph.initializer('axes', int64([1], [1]))], {}, {name: 'sum'})],
      {},
      {name: 'share'},
    );
  },
  /** Half precision rounds each probability. */
  softmaxInHalf: (graph: Graph, x: Value) =>
    graph.op('Cast', [graph.op('Softmax', [x], {axis: 1}, {name: 'prob'})], {to: 10}, {name: 'half'}),
} as const;

/** [N, 3, side, side] → [N, classes] */
export function tinyNetwork({
  seed = 'tiny',
  classes = 10,
  side = 8,
  batch = 'N',
  disturb,
  change,
  begin = (graph) => graph.input('input', 'float32', [batch, 3, side, side]),
  end,
}: TinyOptions = {}): Model {
  const graph = new Graph('tiny');
  const constant = (name: string, shape: Shape) => {
    const own = weights(`${seed}/${name}`, shape, disturb?.name === name ? disturb.by : 0);
    return graph.initializer(name, change && name.startsWith(change.name) ? float32(shape, own.data.map(change.to)) : own);
  };
  const image = begin(graph);
  const conv = (x: typeof image, name: string, shape: Shape) =>
    graph.op(
      'Conv',
      [x, constant(`${name}.weight`, shape), constant(`${name}.bias`, [shape[0]!])],
      {kernel_shape: [3, 3], pads: [1, 1, 1, 1]},
      {name},
    );
  const first = graph.op('Relu', [conv(image, 'conv1', [8, 3, 3, 3])], {}, {name: 'relu1'});
  const second = graph.op('Relu', [conv(first, 'conv2', [8, 8, 3, 3])], {}, {name: 'relu2'});
  const pooled = graph.op('Flatten', [graph.op('GlobalAveragePool', [second], {}, {name: 'pool'})], {}, {name: 'flat'});
  const logits = graph.op(
    'Gemm',
    [pooled, constant('fc.weight', [classes, 8]), constant('fc.bias', [classes])],
    {transB: 1},
    {name: 'logits'},
  );
  graph.outputs = [end ? end(graph, logits) : logits];
  graph.prune();
  return {graph, opset: 17, domains: new Map(), irVersion: 8, producer: {name: 'test', version: '0'}, metadata: new Map()};
}

function weights(seed: string, shape: Shape, disturbance: number): Tensor<'float32'> {
  const data = new Float32Array(shape.reduce((a, b) => a * b, 1));
  fillUniform(data, seed, -0.7, 0.7);
  return float32(shape, disturbance === 0 ? data : data.map((v) => v + disturbance));
}
