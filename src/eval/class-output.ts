/** Which value of a model are its logits: the one that was asked for, what the outputs declare, or what a run on zeros shows. */
import {GpdError} from '../core/error.js';
import {formatShape, type Tensor} from '../core/tensor.js';
import {classesOf, classTable} from '../onnx/class-table.js';
import type {Model, Value} from '../onnx/graph.js';
import type {Session} from '../onnx/session.js';
import type {ImageInput} from './image-input.js';
import {zeroImages} from './logits.js';

export interface ClassOutput {
  name: string;
  classes: number;
}

const batchOf = ({graph}: Model) => graph.inputs[0]?.shape?.[0];
const classesIn = (model: Model, value: Value): number | undefined => {
  const classes = classesOf(value, batchOf(model));
  return typeof classes === 'number' ? classes : undefined;
};

/** Makes a value that the model computes, but does not give, its only output. True where that changed the model. */
export function giveInner({graph}: Model, name: string): boolean {
  const value = graph.value(name);
  if (!value?.producer || graph.outputs.includes(value)) return false;
  graph.outputs = [value];
  graph.prune();
  return true;
}

/** Undefined where only a run tells. Throws SHAPE_MISMATCH where no run would. */
export function declaredOutput(path: string, model: Model, asked?: string): ClassOutput | undefined {
  const {outputs} = model.graph;
  const named = outputs.filter(({name}) => name === asked);
  const [table] = named.length > 0 ? named : [classTable(model)];
  const classes = table && classesIn(model, table);
  if (classes !== undefined && !(isRanking(table!) && named.length === 0)) return {name: table!.name, classes};
  const candidates = named.length > 0 || table ? named : outputs;
  if (candidates.some((value) => classesOf(value, batchOf(model)) === 'unknown')) return undefined;
  return refuseTable(path, model, named.length > 0 ? named : outputs);
}

/** The best few of them, in the order of their size: no longer one number for each class. */
const isRanking = ({producer}: Value): boolean => producer?.opType === 'TopK';

function refuseTable(path: string, model: Model, values: readonly Value[]): never {
  const found = values.map(({name, dtype, shape}) => `'${name}' ${dtype}${shape ? formatShape(shape) : ''}`).join(', ');
  const inner = values.flatMap((value) => behindAnswer(model, value));
  const hint =
    inner.length > 0
      ? `'${inner[0]}' has one number for each class: --output-name ${inner[0]}`
      : 'an output [N, classes] is expected; --output-name takes any value that the model computes, gpd inspect --text lists them';
  throw new GpdError('SHAPE_MISMATCH', `${path}: no output has one number for each class: ${found}`, {at: path, hint});
}

const ANSWERS = new Set(['ArgMax', 'TopK', 'Cast', 'Squeeze', 'Identity', 'Unsqueeze', 'Gather', 'Reshape']);

/** Of the best classes: the table that they were chosen from. */
function behindAnswer(model: Model, {producer}: Value): string[] {
  let node = producer;
  for (let steps = 0; node && ANSWERS.has(node.opType) && steps < ANSWERS.size; steps++) {
    const source: Value | undefined = node.inputs[0];
    const isAnswer = node.opType === 'ArgMax' || node.opType === 'TopK';
    if (isAnswer && source?.producer && classesIn(model, source) !== undefined) return [source.name];
    node = source?.producer;
  }
  return [];
}

/** Runs the model on zeros and writes the shapes of its outputs into the graph. Throws SHAPE_MISMATCH where it does not run on such images. */
export async function measureOutputs(path: string, model: Model, input: ImageInput, session: Session): Promise<void> {
  const count = input.batch ?? 2;
  let results: Map<string, Tensor>;
  try {
    results = await session.run(new Map([[input.name, zeroImages(input, count)]]));
  } catch (error) {
    if (input.anySize === undefined) throw error;
    const problem = `${path}: does not run on images of ${input.side} px: ${(error as Error).message.split('\n')[0]}`;
    const hint = 'it says that it takes any size: give the one that it was made for with --image-size';
    throw new GpdError('SHAPE_MISMATCH', problem, {at: path, hint, cause: error});
  }
  for (const value of model.graph.outputs) {
    const shape = results.get(value.name)?.shape;
    const [first, ...rest] = shape ?? [];
    if (shape) value.shape = first === count && input.batch === undefined ? ['N', ...rest] : shape;
  }
}
