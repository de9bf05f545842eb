/** Whether passes kept what a graph computes: both run in onnxruntime on the same seeded input, the nodes as they are. */
import {compare} from '../../src/core/compare.js';
import {random} from '../../src/core/random.js';
import {float32, type Tensor} from '../../src/core/tensor.js';
import {modelBytes} from '../../src/onnx/encode.js';
import type {Dims, Model} from '../../src/onnx/graph.js';
import {parseModel} from '../../src/onnx/parse-text.js';
import {type Pass, type PassReport, runPasses} from '../../src/onnx/pass.js';
import {openSession} from '../../src/onnx/session.js';

const BATCH = 2; // for dimensions that are not fixed

export function randomInput(dims: Dims, seed: number): Tensor<'float32'> {
  const shape = dims.map((d) => (typeof d === 'number' ? d : BATCH));
  const numbers = random(seed);
  return float32(
    shape,
    Float32Array.from({length: shape.reduce((n, d) => n * d, 1)}, () => numbers.normal()),
  );
}

export async function evaluate(model: Model): Promise<Float32Array[]> {
  const session = await openSession(modelBytes(model), {optimize: 'disabled'});
  const inputs = new Map(model.graph.inputs.map((v, i) => [v.name, randomInput(v.dims, i)]));
  const outputs = await session.run(inputs);
  await session.close();
  return [...outputs.values()].map((t) => t.data as Float32Array);
}

/** Runs the passes; the outputs agree to float32 rounding. Gives the model and what each pass changed. */
export async function expectSameFunction(
  text: string,
  passes: readonly Pass[],
): Promise<{model: Model; reports: PassReport[]}> {
  const before = await evaluate(parseModel(text));
  const model = parseModel(text);
  const reports = await runPasses(model, passes);
  const after = await evaluate(model);
  for (const [i, expected] of before.entries()) {
    const difference = compare(after[i]!, expected, {
      atol: 1e-6,
      rtol: 1e-5,
      because: 'float32 sums of up to a thousand products in another order',
    });
    expect(difference).toMatchObject({ok: true});
  }
  return {model, reports};
}

export const opTypes = (model: Model): string[] => model.graph.nodes.map((n) => n.opType);
