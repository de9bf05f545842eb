import {expect, test} from '@jest/globals';
import {float32} from '../../src/core/tensor.js';
import {classTable, classTableWarnings} from '../../src/onnx/class-table.js';
import {Graph, type Model} from '../../src/onnx/graph.js';

/** embedding [N, 3] → Gemm → logits [N, 3] → Softmax → prob; `outputs` in this order. */
function model(outputs: readonly string[]): Model {
  const graph = new Graph('heads');
  const image = graph.input('image', 'float32', ['N', 3]);
  const embedding = graph.op('Relu', [image], {}, {name: 'embedding'});
  const weight = graph.initializer('w', float32([3, 3], new Float32Array(9)));
  const logits = graph.op('Gemm', [embedding, weight], {}, {name: 'logits'});
  graph.op('Softmax', [logits], {axis: 1}, {name: 'prob'});
  graph.op('Gemm', [graph.op('Relu', [image], {}, {name: 'other'}), weight], {}, {name: 'aux'});
  graph.outputs = outputs.map((name) => graph.value(name)!);
  return {graph, opset: 17, irVersion: 8, metadata: new Map()} as unknown as Model;
}

test.each([
  [['logits'], 'logits'],
  [['prob'], 'prob'],
  [['embedding', 'logits'], 'logits'],
  [['prob', 'logits'], 'logits'],
  [['embedding', 'prob', 'logits'], 'logits'],
  [['embedding', 'prob'], 'prob'],
  [['logits', 'aux'], 'logits'],
  [['aux', 'prob', 'logits'], 'logits'],
])('of %j the logits are %s', (outputs, wanted) => {
  expect(classTable(model(outputs))?.name).toBe(wanted);
});

test.each([
  [['logits', 'prob'], []],
  [['embedding', 'logits'], []],
  [
    ['logits', 'aux'],
    ["'logits' is taken for the logits; 'aux' could be them as well (it has the name): --output-name decides"],
  ],
  [
    ['aux', 'logits'],
    ["'logits' is taken for the logits; 'aux' could be them as well (it has the name): --output-name decides"],
  ],
])('of %j it is said which was taken where several could be', (outputs, said) => {
  expect(classTableWarnings(model(outputs))).toEqual(said);
});
