/** Classifiers of images as a stranger could write them: small files that ask for endless time or all memory, and odd names. */
import {int64, tensor} from '../../src/core/tensor.js';
import {modelBytes} from '../../src/onnx/encode.js';
import {type Dim, Graph, type Value} from '../../src/onnx/graph.js';

export interface ForeignOptions {
  batch?: Dim;
  side?: number;
  input?: string;
  output?: string;
  /** Operator sets beside the default one. */
  domains?: ReadonlyMap<string, number>;
  /** What is done with the images before they are averaged. */
  between?: (graph: Graph, images: Value) => Value;
}

/** [N, 3, side, side] → [N, 10]: the mean of each image, times ten numbers. */
export function foreignModel({
  batch = 'N',
  side = 8,
  input = 'input',
  output = 'logits',
  domains = new Map(),
  between,
}: ForeignOptions = {}): Uint8Array {
  const graph = new Graph('foreign');
  const images = graph.input(input, 'float32', [batch, 3, side, side]);
  const mean = graph.op('ReduceMean', [between?.(graph, images) ?? images], {axes: [1, 2, 3], keepdims: 0}, {name: 'mean'});
  const column = graph.op('Reshape', [mean, graph.initializer('column', int64([2], [-1, 1]))], {}, {name: 'column'});
  const weights = graph.initializer(
    'weights',
    tensor(
      'float32',
      [1, 10],
      Float32Array.from({length: 10}, (_, i) => i / 10),
    ),
  );
  const logits = graph.op('MatMul', [column, weights], {}, {name: 'product', outputNames: [output]});
  logits.shape = [batch, 10];
  graph.outputs = [logits];
  const producer = {name: 'test', version: ''};
  return modelBytes({graph, opset: 17, irVersion: 8, domains, producer, metadata: new Map()});
}

/** A Loop of 2^62 steps that do nothing. */
export function endless(graph: Graph, images: Value): Value {
  const body = new Graph('body');
  body.input('step', 'int64', []);
  const [again, value] = [body.input('again', 'bool', []), body.input('value', 'float32', images.shape)];
  body.outputs = [body.op('Identity', [again], {}, {name: 'again_out'}), body.op('Identity', [value], {}, {name: 'value_out'})];
  const trips = graph.initializer('trips', tensor('int64', [], BigInt64Array.of(2n ** 62n)));
  const always = graph.initializer('always', tensor('bool', [], Uint8Array.of(1)));
  return graph.op('Loop', [trips, always, images], {body}, {name: 'loop', types: [{dtype: 'float32', shape: images.dims}]});
}

/** The same, of constants alone: the runtime's optimiser runs it when the model is opened. */
export function endlessWhenOpened(graph: Graph, images: Value): Value {
  return graph.op('Add', [images, endless(graph, graph.initializer('zero', tensor('float32', [1], Float32Array.of(0))))]);
}

/** One number becomes 2^`log2` of them while the model runs. */
export const expanding =
  (log2: number) =>
  (graph: Graph, images: Value): Value => {
    const half = Math.floor(log2 / 2);
    const one = graph.op('ReduceMean', [images], {keepdims: 0}, {name: 'one'});
    const many = graph.op('Expand', [one, graph.initializer('sides', int64([2], [2 ** half, 2 ** (log2 - half)]))]);
    return graph.op('Add', [images, graph.op('ReduceMean', [many], {keepdims: 0}, {name: 'one_again'})]);
  };

/** A node that fails while it runs, under a name of the test's choice. */
export const failing =
  (name: string) =>
  (graph: Graph, images: Value): Value => {
    const repeats = graph.initializer('repeats', int64([4], [1, 2 ** 11, 2 ** 10, 2 ** 10]));
    const tiles = graph.op('Tile', [images, repeats], {}, {name: 'tiles', types: [{dtype: 'float32', shape: images.dims}]});
    graph.renameNode(tiles.producer!, name);
    return tiles;
  };
