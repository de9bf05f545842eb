import {float32} from '../../src/core/tensor.js';
import {modelBytes} from '../../src/onnx/encode.js';
import {Graph} from '../../src/onnx/graph.js';
import {loadSyncRuntime, withoutCopies} from '../../src/onnx/sync-session.js';

/** sum = a + b and product = a·b of three numbers each. */
async function session() {
  const graph = new Graph('both');
  const [a, b] = [graph.input('a', 'float32', [3]), graph.input('b', 'float32', [3])];
  graph.outputs = [graph.op('Add', [a, b], {}, {name: 'sum'}), graph.op('Mul', [a, b], {}, {name: 'product'})];
  withoutCopies(graph);
  const producer = {name: 'test', version: ''};
  const bytes = modelBytes({graph, opset: 20, irVersion: 9, domains: new Map(), producer, metadata: new Map()});
  return (await loadSyncRuntime()).open(bytes, {executionProviders: ['cpu'], logSeverityLevel: 4});
}
const inputs = new Map([
  ['a', float32([3], [1, 2, 3])],
  ['b', float32([3], [10, 20, 30])],
]);
const memory = () =>
  new Map([
    ['sum', float32([3], [0, 0, 0])],
    ['product', float32([3], [0, 0, 0])],
  ]);

test('results are written into the memory given, each time', async () => {
  const {runInto, run, close} = await session();
  const [first, second] = [memory(), memory()];
  runInto(inputs, first);
  runInto(new Map([...inputs, ['b', float32([3], [-1, 0, 1])]]), second);
  expect([...first.values()].map(({data}) => [...(data as Float32Array)])).toEqual([
    [11, 22, 33],
    [10, 40, 90],
  ]);
  expect([...second.values()].map(({data}) => [...(data as Float32Array)])).toEqual([
    [0, 2, 4],
    [-1, 0, 3],
  ]);
  expect([...(run(inputs, ['sum']).get('sum')!.data as Float32Array)]).toEqual([11, 22, 33]); // as from any graph
  close();
});

test('a run that fails says why', async () => {
  const {runInto, close} = await session();
  expect(() => runInto(new Map([...inputs, ['b', float32([2], [0, 0])]]), memory())).toThrow(/invalid dimensions for input: b/);
  expect(() => runInto(inputs, new Map([...memory(), ['sum', float32([2], [0, 0])]]))).toThrow(
    /invalid dimensions for output: sum/,
  );
  close();
});
