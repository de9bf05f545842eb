/** New numbers of a variable written over the old ones: only where all of the graph has read those. */
import * as tf from '@tensorflow/tfjs-core';
import fc from 'fast-check';
import {parseModel} from '../../src/onnx/parse-text.js';
import {BACKEND_NAME} from '../../src/tfjs/backend/backend.js';
import {jit} from '../../src/tfjs/jit/jit.js';
import {mayOverwrite} from '../../src/tfjs/lowering/in-place.js';
import {expectClose} from '../close.js';
import {rounding, startBackend} from './both.js';

beforeAll(startBackend);

test.each<[title: string, answer: boolean, nodes: string]>([
  ['the writer reads it', true, '%y = Add(%x, %a)'],
  ['twice', true, '%y = Mul(%x, %x)'],
  ['it is read before', true, '%b = MatMul(%x, %a) %y = Add(%b, %a)'],
  ['both', true, '%b = MatMul(%x, %a) %y = Add(%b, %x)'],
  ['nobody reads it', true, '%y = Add(%a, %a)'],
  ['through a view, before', true, '%v = Reshape(%x, %flat) %r = Sqrt(%v) %s = Reshape(%r, %square) %y = Add(%s, %x)'],
  ['the writer reads it in another shape', true, '%v = Reshape(%x, %flat) %b = Reshape(%a, %flat) %y = Add(%v, %b)'],
  ['another node reads it, before or after', false, '%z = MatMul(%x, %a) %y = Add(%x, %a)'],
  ['another reads it through a view', false, '%v = Reshape(%x, %flat) %z = Sqrt(%v) %y = Add(%x, %a)'],
  [
    'a view is read before, and again',
    false,
    '%v = Reshape(%x, %flat) %r = Sqrt(%v) %s = Reshape(%r, %square) %y = Add(%s, %a) %z = Neg(%v)',
  ],
  ['afterwards', false, '%y = Add(%x, %a) %z = Mul(%y, %x)'],
  ['the writer reads other places of it', false, '%y = MatMul(%x, %a)'],
  ['it is a result itself', false, '%y = Add(%x, %a) %z = Identity(%x)'],
  ['the writer has a constant, and may be left out', false, '%b = MatMul(%x, %a) %y = Mul(%b, %one)'],
])('%s: %p', (_, answer, nodes) => {
  const {graph} = parseModel(`
    model opset 17, ir 8, producer "gpd" "1"
    graph g (%x: f32[2, 2], %a: f32[2, 2]) -> (%y${nodes.includes('%z') ? ', %z' : ''})
      %flat = i64[1] {4}
      %square = i64[2] {2, 2}
      %one = f32[] {1}
      ${nodes.replaceAll(' %', '\n      %').replaceAll(',\n      %', ', %')}`);
  expect(mayOverwrite(graph, graph.value('x')!, graph.value('y')!)).toBe(answer);
});

test('a row that is repeated is not written over by the whole', () => {
  const {graph} = parseModel(`
    model opset 17, ir 8, producer "gpd" "1"
    graph g (%x: f32[2], %a: f32[2, 2]) -> (%y)
      %y = Add(%x, %a)`);
  expect(mayOverwrite(graph, graph.value('x')!, graph.value('y')!)).toBe(false);
});

const SIDE = 3;
type Op = (a: tf.Tensor, b: tf.Tensor) => tf.Tensor;
const operations: Readonly<Record<string, Op>> = {
  add: (a, b) => tf.add(a, b),
  sub: (a, b) => tf.sub(a, b),
  mul: (a, b) => tf.mul(a, tf.tanh(b)), // bounded, as are the others
  matMul: (a, b) => tf.matMul(tf.tanh(a), tf.tanh(b)),
  addTransposed: (a, b) => tf.add(a, tf.transpose(b)),
  addReversed: (a, b) => tf.sub(tf.reverse(a, 0), b),
  addFlat: (a, b) => tf.reshape(tf.add(tf.reshape(a, [-1]), tf.reshape(b, [-1])), [SIDE, SIDE]),
  addRow: (a, b) => tf.add(a, tf.slice(b, [0, 0], [1, SIDE])),
};
const VARIABLES = 3;
const STEPS = 5;

/** Each line computes from two earlier values, of which the variables are the first; each variable becomes one of them. */
const programs = fc.record({
  lines: fc.array(fc.tuple(fc.constantFrom(...Object.keys(operations)), fc.nat(), fc.nat()), {minLength: 2, maxLength: 8}),
  becomes: fc.array(fc.nat(), {minLength: VARIABLES, maxLength: VARIABLES}),
});

async function run(
  backend: string,
  {lines, becomes}: {lines: readonly [string, number, number][]; becomes: readonly number[]},
  capture: (step: () => void) => () => void,
): Promise<number[]> {
  await tf.setBackend(backend);
  const start = (v: number) => tf.tidy(() => tf.variable(tf.sin(tf.add(tf.reshape(tf.range(0, SIDE ** 2), [SIDE, SIDE]), v))));
  const variables = Array.from({length: VARIABLES}, (_, v) => start(v));
  const step = capture(() => {
    const values: tf.Tensor[] = variables.map((v) => v as tf.Tensor);
    for (const [name, a, b] of lines) values.push(operations[name]!(values[a % values.length]!, values[b % values.length]!));
    const made = values.slice(VARIABLES);
    for (const [v, variable] of variables.entries())
      variable.assign(tf.add(made[becomes[v]! % made.length]!, tf.scalar(0.5 + v)));
  });
  for (let i = 0; i < STEPS; i++) tf.tidy(step);
  const numbers = variables.flatMap((v) => [...v.dataSync()]);
  tf.dispose(variables);
  return numbers;
}

test('steps of any form give what they give without writing in place', async () => {
  await fc.assert(
    fc.asyncProperty(programs, async (program) => {
      const expected = await run('cpu', program, (step) => step);
      expectClose(await run(BACKEND_NAME, program, (step) => jit(step)), expected, rounding);
    }),
    {numRuns: 150, seed: 1},
  );
});
