import fc from 'fast-check';
import {float32} from '../../src/core/tensor.js';
import {checkModel} from '../../src/onnx/check.js';
import {decodeModel} from '../../src/onnx/decode.js';
import {modelBytes} from '../../src/onnx/encode.js';
import {Graph, type Model} from '../../src/onnx/graph.js';
import {parseGraph, parseModel} from '../../src/onnx/parse-text.js';
import {printConstant, printGraph, printModel} from '../../src/onnx/text.js';

const text = `model opset 17, ir 8, producer "gpd" "0.1.0"
metadata gpd.source = "resnet18.pth.tar"
graph resnet18 (%input: f32[N, 3, 8, 8]) -> (%logits)
  %conv1.weight = f32[4, 3, 3, 3] #26bf6837
  %conv1: f32[N, 4, 8, 8] = Conv(%input, %conv1.weight) {pads = [1, 1, 1, 1]}
  %relu: f32[N, 4, 8, 8] = Relu(%conv1)
  %sizes = i64[2] {2, 2}
  %a: f32[N, 2, 8, 8], %b: f32[N, 2, 8, 8] = Split(%relu, %sizes) {axis = 1}
  %logits: f32? = com.microsoft.Foo(%a, _, %b) {alpha = 1.0, name = "x"}
`;
const withSeed = text.replace(/#[0-9a-f]+/, '~1');

test('the text of a model, and back', () => {
  expect(printModel(parseModel(withSeed))).toBe(text);
});

test('a constant shows when it changes', () => {
  const numbers = Float32Array.from({length: 9}, (_, i) => i);
  const before = printConstant({...float32([9], numbers), read: () => float32([9], numbers)});
  numbers[8] = 8.000001;
  const after = printConstant({...float32([9], numbers), read: () => float32([9], numbers)});
  expect(before).toMatch(/^f32\[9\] #[0-9a-f]{8}$/);
  expect(after).not.toBe(before);
});

test('constants are made from seeds', () => {
  const graph = parseGraph('graph g () -> (%a, %b, %c) %a = f32[100] ~1 %b = f32[100] ~+1 %c = f32[3] {7}');
  const [a, b, c] = graph.outputs.map((v) => v.initializer!.read().data as Float32Array);
  expect(Math.min(...a!)).toBeLessThan(0);
  for (const [i, n] of a!.entries()) expect(b![i]).toBeCloseTo(Math.abs(n) + 0.1, 5);
  expect(c).toEqual(Float32Array.of(7, 7, 7));
});

test('comments, and types that are left out', () => {
  const graph = parseGraph(`
    graph g (%x: f32[2, 3]) -> (%y) // the whole of it
      // a transposition
      %y = Transpose(%x) {perm = [1, 0]} // swapped`);
  expect(graph.outputs[0]!.shape).toEqual([3, 2]);
});

test.each([
  ['graph g (%x: f32[2]) -> (%y)\n %y = Relu(%z)', /line 2: %z is used before it is defined/],
  ['graph g (%x: f32[2]) -> (%z)\n %y = Relu(%x)', /the output %z is not defined/],
  ['graph g (%x: f33[2]) -> (%x)', /'f33' is not a type/],
  ['graph g (%x: f32[2]) -> (%x) %c = f32[9] #aabbccdd', /write {…} or ~seed, not '#aabbccdd'/],
  ['graph g (%x: f32[2]) -> (%x) {', /'{' is left over/],
  ['graph g (%x: f32[2]) -> (%x) !', /not understood/],
  ['graph g (%x f32[2]) -> (%x)', /':' is expected, not 'f32'/],
])('a mistake in %j has its place', (wrong, message) => {
  expect(() => parseGraph(wrong)).toThrow(message);
});

/** Small random graphs: every operand is something that is there already. */
const randomModel = fc
  .record({
    steps: fc.array(fc.tuple(fc.constantFrom('Relu', 'Add', 'Mul', 'Identity', 'constant', 'Strange'), fc.nat(), fc.nat()), {
      maxLength: 12,
    }),
    numbers: fc.array(fc.float({noDefaultInfinity: true, noNaN: true}), {minLength: 3, maxLength: 3}),
    names: fc.array(fc.string({unit: 'grapheme', minLength: 1, maxLength: 4}), {maxLength: 14}),
  })
  .map(({steps, numbers, names}): Model => {
    const graph = new Graph('random');
    const values = [graph.input('in', 'float32', ['N', 3])];
    for (const [i, [kind, a, b]] of steps.entries()) {
      const [x, y] = [values[a % values.length]!, values[b % values.length]!];
      const name = graph.uniqueName(names[i] || 'v');
      if (kind === 'constant') values.push(graph.initializer(name, float32([3], numbers)));
      else if (kind === 'Add' || kind === 'Mul') values.push(graph.op(kind, [x, y], {}, {name}));
      else values.push(graph.op(kind, [x], kind === 'Strange' ? {f: 0.5, i: -3, l: [1, 2], s: name} : {}, {name}));
    }
    graph.outputs = [graph.op('Relu', [values.at(-1)!], {}, {name: graph.uniqueName('out')})];
    graph.prune();
    return {graph, opset: 17, domains: new Map(), irVersion: 8, producer: {name: 'p', version: ''}, metadata: new Map()};
  });

test('random graphs survive print and parse, encode and decode', () => {
  fc.assert(
    fc.property(randomModel, (model) => {
      expect(checkModel(model)).toEqual([]);
      const printed = printModel(model);
      expect(printModel(parseModel(printed))).toBe(printed);
      const bytes = modelBytes(model, {valueInfo: true});
      const decoded = decodeModel(bytes);
      expect(checkModel(decoded)).toEqual([]);
      expect(printModel(decoded)).toBe(printed);
      expect(modelBytes(decoded, {valueInfo: true})).toEqual(bytes);
    }),
    {numRuns: 200},
  );
});

test('numbers of every kind are printed so that they come back', () => {
  fc.assert(
    fc.property(fc.array(fc.float(), {minLength: 1, maxLength: 8}), (numbers) => {
      const graph = new Graph('g');
      graph.outputs = [graph.initializer('c', float32([numbers.length], numbers))];
      const [back] = parseGraph(printGraph(graph)).outputs;
      expect([...(back!.initializer!.read().data as Float32Array)]).toEqual(numbers.length === 1 ? [numbers[0]] : numbers);
    }),
  );
});
