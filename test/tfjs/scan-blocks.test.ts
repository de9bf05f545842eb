/** Chains of elementwise operators in blocks: the same numbers to the bit, and written in place where that is allowed. */
import * as tf from '@tensorflow/tfjs-core';
import fc from 'fast-check';
import {random} from '../../src/core/random.js';
import {float32, type Tensor} from '../../src/core/tensor.js';
import {assertValid} from '../../src/onnx/check.js';
import {modelBytes} from '../../src/onnx/encode.js';
import {Graph, type Value} from '../../src/onnx/graph.js';
import {loadSyncRuntime, type SyncRuntime} from '../../src/onnx/sync-session.js';
import {intsInitializer} from '../../src/onnx/tensor-ops.js';
import type {OnnxruntimeBackend} from '../../src/tfjs/backend/backend.js';
import {jit} from '../../src/tfjs/jit/jit.js';
import {loweredModel} from '../../src/tfjs/lowering/plan.js';
import {scanBlocks} from '../../src/tfjs/lowering/scan-blocks.js';
import {startBackend} from './both.js';

let backend: OnnxruntimeBackend;
let runtime: SyncRuntime;
beforeAll(async () => {
  backend = await startBackend();
  runtime = await loadSyncRuntime();
});

const sizes = {small: 24, smallest: 3, largest: 8};
const shapes = [
  [5, 2], // small
  [29], // no number of blocks divides it
  [2, 3, 4],
  [24],
  [4, 6],
];

/** Each line makes a value from two earlier ones; where their shapes differ, from the first and a single number. */
const ofOne = ['Neg', 'Relu', 'Softmax'];
const operators = fc.constantFrom('Add', 'Sub', 'Mul', 'Add', 'Mul', 'Reshape', ...ofOne);
const programs = fc.record({
  lines: fc.array(fc.tuple(operators, fc.nat(), fc.nat()), {minLength: 3, maxLength: 24}),
  outputs: fc.array(fc.nat(), {minLength: 1, maxLength: 4}),
});

function build({lines, outputs}: {lines: readonly [string, number, number][]; outputs: readonly number[]}): Graph {
  const graph = new Graph('random');
  const one = graph.input('one', 'float32', []);
  const values: Value[] = shapes.flatMap((shape, i) => [0, 1].map((j) => graph.input(`x${i}${j}`, 'float32', shape)));
  const first = values.length;
  for (const [opType, i, j] of lines) {
    const a = values.at(-1 - (i % Math.min(i % 7 === 0 ? values.length : 4, values.length)))!; // mostly a late one
    const alike = values.filter((v) => v.dims.join() === a.dims.join());
    if (ofOne.includes(opType)) values.push(graph.op(opType, [a]));
    else if (opType === 'Reshape') values.push(graph.op('Reshape', [a, intsInitializer(graph, [-1])]));
    else values.push(graph.op(opType, [a, j % 5 === 0 ? one : alike[j % alike.length]!]));
  }
  const made = values.slice(first);
  graph.outputs = [...new Set(outputs.map((n) => made[n % made.length]!))];
  graph.prune();
  return graph;
}

/** In any shape: blocks have another. */
function numbersOf(graph: Graph): number[][] {
  const session = runtime.open(modelBytes(loweredModel(graph)), {intraOpNumThreads: 1, logSeverityLevel: 4});
  const feeds = new Map<string, Tensor>(
    graph.inputs.map(({name, dims}) => {
      const r = random(name);
      const shape = dims as number[];
      return [
        name,
        float32(
          shape,
          Float32Array.from({length: shape.reduce((n, d) => n * d, 1)}, () => r.normal()),
        ),
      ];
    }),
  );
  const names = graph.outputs.map((v) => v.name);
  const results = session.run(feeds, names);
  session.close();
  return names.map((name) => [...(results.get(name)!.data as Float32Array)]);
}

test('random graphs give the same bits', () => {
  let loops = 0;
  fc.assert(
    fc.property(programs, (program) => {
      const [whole, blocks] = [build(program), build(program)];
      scanBlocks(blocks, sizes);
      assertValid(loweredModel(blocks), 'blocks');
      loops += blocks.nodes.filter(({opType}) => opType === 'Scan').length;
      expect(blocks.outputs.map(({name}) => name)).toEqual(whole.outputs.map(({name}) => name));
      expect(numbersOf(blocks)).toEqual(numbersOf(whole));
    }),
    {numRuns: 800, seed: 1},
  );
  expect(loops).toBeGreaterThan(200);
});

test('an update of a large variable is written over the old numbers, block by block', () => {
  const shape = [3, 5, 1 << 17];
  const weights = tf.variable(tf.fill(shape, 1));
  const velocity = tf.variable(tf.zeros(shape));
  const step = jit((rate: tf.Tensor) => {
    velocity.assign(tf.add(tf.mul(velocity, 0.5), tf.mul(weights, 0.25)));
    weights.assign(tf.sub(weights, tf.mul(velocity, rate)));
  });
  const expected = {weights: 1, velocity: 0};
  const arrays = new Set<unknown>();
  for (let i = 0; i < 6; i++) {
    tf.tidy(() => step(tf.scalar(0.5)));
    expected.velocity = 0.5 * expected.velocity + 0.25 * expected.weights;
    expected.weights -= 0.5 * expected.velocity;
    if (i > 1) for (const v of [weights, velocity]) arrays.add(backend.lazy(v).data);
  }
  expect(arrays.size).toBe(2);
  for (const [v, wanted] of [
    [weights, expected.weights],
    [velocity, expected.velocity],
  ] as const) {
    expect(new Set(v.dataSync())).toEqual(new Set([wanted])); // powers of two: exact
  }
  tf.dispose([weights, velocity]);
});
