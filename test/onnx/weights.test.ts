/** Weights are counted alike whatever they are stored as; scales and zero points are bytes, not weights. */
import {float32, int64, tensor} from '../../src/core/tensor.js';
import {quantiseDynamically} from '../../src/export/quantise/dynamic.js';
import {quantiseModel} from '../../src/export/quantise/quantise.js';
import {Graph} from '../../src/onnx/graph.js';
import {macsOf} from '../../src/onnx/macs.js';
import {countWeights} from '../../src/onnx/weights.js';
import {tinyNetwork} from '../eval/networks.js';

/** Two convolutions of 8 × 3 × 3 × 3 and 8 × 8 × 3 × 3, and a product of 10 × 8, each with biases. */
const WEIGHTS = 216 + 576 + 80;
const BIASES = 8 + 8 + 10;

const images = async function* () {
  yield float32(
    [8, 3, 8, 8],
    Float32Array.from({length: 8 * 192}, (_, i) => Math.sin(i * 1.7)),
  );
};

test('float32: four bytes each', () => {
  expect(countWeights(tinyNetwork().graph)).toEqual({parameters: WEIGHTS + BIASES, bytes: 4 * (WEIGHTS + BIASES)});
});

test('int8: as many, in a byte each and four for biases; a scale of four bytes and a zero point belong to the bytes', async () => {
  const {model} = await quantiseModel(tinyNetwork(), {calibration: images, method: 'minmax'});
  const {parameters, bytes} = countWeights(model.graph);
  expect(parameters).toBe(WEIGHTS + BIASES);
  const stored = WEIGHTS + 4 * BIASES;
  expect(bytes).toBeGreaterThan(stored + 4 * 2 * BIASES); // a scale for each channel of a weight and of a bias
  expect(bytes).toBeLessThan(stored + 4 * 2 * BIASES + 100);
});

test('dynamic int8: the product in bytes, the rest as it was', () => {
  const {model} = quantiseDynamically(tinyNetwork());
  const {parameters} = countWeights(model.graph);
  expect(parameters - 10).toBe(WEIGHTS + BIASES); // its ten scales are factors like any other
});

test('shapes and axes are no weights, a Constant node may be one', () => {
  const graph = new Graph('shapes');
  const x = graph.input('x', 'float32', [2, 2]);
  const weight = graph.op('Constant', [], {value: tensor('float32', [2, 2], Float32Array.of(1, 2, 3, 4))}, {name: 'weight'});
  graph.outputs = [graph.op('Reshape', [graph.op('MatMul', [x, weight]), graph.initializer('shape', int64([1], [4]))])];
  expect(countWeights(graph)).toEqual({parameters: 4, bytes: 16});
});

test('multiply-accumulates on integers are those whose operands both come out of DequantizeLinear, or are integers', async () => {
  const whole = macsOf(tinyNetwork().graph);
  expect([whole.integers, whole.unknown]).toEqual([0, 0]);
  const {model} = await quantiseModel(tinyNetwork(), {calibration: images, method: 'minmax'});
  expect(macsOf(model.graph)).toEqual({...whole, integers: whole.macs});
  expect(macsOf(quantiseDynamically(tinyNetwork()).model.graph)).toEqual({...whole, integers: 80});
});
