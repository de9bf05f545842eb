/** Finished models in other opsets, batches and image sizes: the same function, or a refusal that says why. */

import {buildModel} from '../../src/convert/build.js';
import {fillUniform} from '../../src/core/random.js';
import {float32, type Tensor, toFloat32} from '../../src/core/tensor.js';
import {withInputShape} from '../../src/export/input-shape.js';
import {toOpset} from '../../src/export/opset.js';
import {checkTarget, type Target, targetNames, targets} from '../../src/export/targets.js';
import {decodeModel} from '../../src/onnx/decode.js';
import {modelBytes} from '../../src/onnx/encode.js';
import {Graph, type Model} from '../../src/onnx/graph.js';
import {openSession} from '../../src/onnx/session.js';
import {fixtureCases} from '../cases.js';
import {expectLogits} from '../close.js';
import {tinyNetwork} from '../eval/networks.js';

const refusal = (text: string) => expect.objectContaining({code: 'EXPORT_REFUSED', message: expect.stringContaining(text)});
const because = 'float32 sums in another order, a few layers deep';

function noise([count, channels, height, width]: readonly number[]): Tensor<'float32'> {
  const data = new Float32Array(count! * channels! * height! * width!);
  fillUniform(data, 'images', -1.7, 1.7);
  return float32([count!, channels!, height!, width!], data);
}
async function logitsOf(model: Model, images: Tensor): Promise<Float32Array> {
  const session = await openSession(modelBytes(model), {optimize: 'disabled'});
  const results = await session.run(new Map([[model.graph.inputs[0]!.name, images]]));
  await session.close();
  return toFloat32([...results.values()][0]!).data;
}
const sideOf = (model: Model) => Number(model.graph.inputs[0]!.dims[2]);
/** As a user has it: read from a file. */
async function student(name: string, opset: number): Promise<Model> {
  const [, open] = fixtureCases.find(([found]) => found.startsWith(name))!;
  return decodeModel(modelBytes((await buildModel(open().recognise(), 'student', {opset})).model));
}

describe.each(['rvt_r2_orepa', 'rvt_plus_mask', 'mobilenet_plain', 'cifar_resnet20_plain'])('%s', (name) => {
  test.each([
    [23, 13],
    [20, 17],
    [20, 18],
    [13, 20],
    [17, 23],
  ])('opset %i to %i', async (from, to) => {
    const model = await student(name, from);
    const moved = toOpset(model, {opset: to});
    expect(moved.opset).toBe(to);
    const images = noise([2, 3, sideOf(model), sideOf(model)]);
    expectLogits(await logitsOf(moved, images), await logitsOf(model, images), 1e-5, because);
    expect(model.opset).toBe(from);
  });

  test('every target reads what is made for it', async () => {
    const model = await student(name, 23);
    for (const target of targetNames) {
      const {opset, irVersion, batch}: Target = targets[target];
      const made = await withInputShape(toOpset(model, {opset, irVersion}), {batch});
      checkTarget(made, target);
      expect(made).toMatchObject({opset, irVersion});
      const images = noise([1, 3, sideOf(model), sideOf(model)]);
      expectLogits(await logitsOf(made, images), await logitsOf(model, images), 1e-5, because);
    }
  });

  test('a fixed batch, and back to any', async () => {
    const model = await student(name, 20);
    const fixed = await withInputShape(model, {batch: 3});
    expect(fixed.graph.outputs[0]!.shape).toEqual([3, model.graph.outputs[0]!.dims[1]]);
    const images = noise([3, 3, sideOf(model), sideOf(model)]);
    const expected = await logitsOf(model, images);
    expectLogits(await logitsOf(fixed, images), expected, 1e-6, because);
    const any = await withInputShape(fixed, {batch: 'dynamic'});
    expect(any.graph.inputs[0]!.shape![0]).toBe('N');
    expectLogits(await logitsOf(any, images), expected, 1e-6, because);
  });
});

test('another image size where the network takes it, and a refusal with the node where not', async () => {
  const resnet = await student('cifar_resnet20_plain', 20);
  const larger = await withInputShape(resnet, {side: sideOf(resnet) * 2});
  expect(larger.graph.inputs[0]!.shape).toEqual(['N', 3, sideOf(resnet) * 2, sideOf(resnet) * 2]);
  const rvt = await student('rvt_plus_mask', 20);
  await expect(withInputShape(rvt, {side: sideOf(rvt) * 2})).rejects.toThrow(refusal(`${sideOf(rvt) * 2} px`));
});

test('an operator whose history is not known keeps its opset', () => {
  const graph = new Graph('foreign');
  graph.outputs = [graph.op('NonZero', [graph.input('input', 'float32', [1])], {}, {name: 'odd'})];
  const model = {...tinyNetwork(), graph};
  expect(() => toOpset(model, {opset: 20})).toThrow(refusal("NonZero 'odd'"));
  expect(toOpset(model, {opset: model.opset}).graph.nodes.length).toBe(1);
});
