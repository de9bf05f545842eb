/** Whether this processor's int8 products are exact: those of x86 without VNNI are not, see `weightLevels`. */
import {tensor} from '../../core/tensor.js';
import {modelBytes} from '../../onnx/encode.js';
import {parseModel} from '../../onnx/parse-text.js';
import {openSession} from '../../onnx/session.js';

/** Two of the largest products: 64770, which 16 bits with a sign do not hold. */
const probe = `model opset 13, ir 8, producer "gpd" "0"
  graph probe (%x: u8[1, 2]) -> (%y)
    %w = i8[2, 1] {127, 127}
    %y: i32[1, 1] = MatMulInteger(%x, %w)`;
const EXACT = 2 * 255 * 127;

let found: Promise<boolean> | undefined;

/** onnxruntime on this processor cuts off sums of two products of uint8 with int8. Measured once a process, by running one. */
export function saturates(): Promise<boolean> {
  found ??= measure();
  return found;
}

async function measure(): Promise<boolean> {
  const session = await openSession(modelBytes(parseModel(probe)), {threads: 1});
  const results = await session.run(new Map([['x', tensor('uint8', [1, 2], Uint8Array.of(255, 255))]]));
  await session.close();
  return Number(results.get('y')!.data[0]) !== EXACT;
}
