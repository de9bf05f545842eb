/** Batch and image size of a finished model. Shapes behind the images are found anew; whether they fit is decided by running it. */
import {GpdError} from '../core/error.js';
import {elementCount, tensor} from '../core/tensor.js';
import {assertValid} from '../onnx/check.js';
import {classTable} from '../onnx/class-table.js';
import {cloneModel} from '../onnx/clone-model.js';
import {modelBytes} from '../onnx/encode.js';
import type {Dims, Model} from '../onnx/graph.js';
import {measureShapes} from '../onnx/measure-shapes.js';
import {openSession} from '../onnx/session.js';

export interface InputShape {
  /** A number, 'dynamic', or undefined: as it is. */
  readonly batch?: number | 'dynamic' | undefined;
  /** Pixels a side; undefined: as it is. */
  readonly side?: number | undefined;
}

const DYNAMIC = 'N';

function shaped(dims: Dims | undefined, {batch, side}: InputShape): Dims {
  const [count, channels, height, width] = dims ?? [];
  if (dims?.length !== 4)
    throw new GpdError('EXPORT_REFUSED', 'the input is not [N, 3, S, S]', {hint: 'give a student of gpd convert'});
  return [batch === undefined ? count! : batch === 'dynamic' ? DYNAMIC : batch, channels!, side ?? height!, side ?? width!];
}

/** Throws EXPORT_REFUSED where the network does not take images of that size, with the node that says so. */
export async function withInputShape(original: Model, shape: InputShape): Promise<Model> {
  if (shape.batch === undefined && shape.side === undefined) return original;
  const asked = [shape.batch !== undefined && `batch ${shape.batch}`, shape.side !== undefined && `${shape.side} px`].filter(
    Boolean,
  );
  try {
    const model = cloneModel(original, (dims) => shaped(dims, shape));
    await measureShapes(model);
    assertValid(model, asked.join(', '));
    await tryOut(model);
    await measureShapes(model);
    return model;
  } catch (error) {
    if (error instanceof GpdError && error.code === 'LIMIT_EXCEEDED') throw error; // says what to do
    throw new GpdError('EXPORT_REFUSED', `${asked.join(', ')}: ${(error as Error).message.split('\n').slice(0, 2).join(' ')}`, {
      hint: 'export from the checkpoint with --batch and --image-size: there the network is built for them',
      cause: error,
    });
  }
}

/** One run on zeros: the runtime checks every shape. */
async function tryOut(model: Model): Promise<void> {
  const session = await openSession(modelBytes(model), {optimize: 'disabled', arena: false, file: model.file});
  try {
    const {name, dims} = model.graph.inputs[0]!;
    const shape = dims.map((d) => (typeof d === 'number' ? d : 1));
    const logits = classTable(model) ?? model.graph.outputs[0]!;
    const images =
      model.graph.inputs[0]!.dtype === 'float16' ? new Uint16Array(elementCount(shape)) : new Float32Array(elementCount(shape));
    const dtype = images instanceof Uint16Array ? 'float16' : 'float32';
    const results = await session.run(new Map([[name, tensor(dtype, shape, images as Float32Array<ArrayBuffer>)]]));
    const found = results.get(logits.name)!.shape;
    if (found[0] !== shape[0] || found.length !== 2) throw new Error(`the logits are [${found}] for ${shape[0]} images`);
  } finally {
    await session.close();
  }
}
