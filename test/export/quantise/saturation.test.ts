/** int8 on processors that cut off sums of products: whether this one does is measured, and weights in 7 bits are exact on both kinds. */
import {tensor} from '../../../src/core/tensor.js';
import {weightLevels} from '../../../src/export/quantise/affine.js';
import {saturates} from '../../../src/export/quantise/saturation.js';
import {modelBytes} from '../../../src/onnx/encode.js';
import {parseModel} from '../../../src/onnx/parse-text.js';
import {openSession} from '../../../src/onnx/session.js';

async function sumOfTwo(weight: number): Promise<number> {
  const text = `model opset 13, ir 8, producer "test" "0"
  graph g (%x: u8[1, 2]) -> (%y)
    %w = i8[2, 1] {${weight}, ${weight}}
    %y: i32[1, 1] = MatMulInteger(%x, %w)`;
  const session = await openSession(modelBytes(parseModel(text)), {threads: 1});
  const results = await session.run(new Map([['x', tensor('uint8', [1, 2], Uint8Array.of(255, 255))]]));
  await session.close();
  return Number(results.get('y')!.data[0]);
}

test('weights in 7 bits are summed exactly by every processor', async () => {
  expect(await sumOfTwo(weightLevels.reduced)).toBe(2 * 255 * weightLevels.reduced);
});

test('what is measured of this processor is what it does to the largest weights: cut off at 16 bits, or exact', async () => {
  expect(await sumOfTwo(weightLevels.full)).toBe((await saturates()) ? 2 ** 15 - 1 : 2 * 255 * 127);
});
