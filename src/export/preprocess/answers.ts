/** What a model says beside its logits: probabilities, the best classes, and their names. */

import {GpdError} from '../../core/error.js';
import {int64} from '../../core/tensor.js';
import {classTable, lastNode} from '../../onnx/class-table.js';
import {cloneModel} from '../../onnx/clone-model.js';
import {gpdEntries} from '../../onnx/gpd-metadata.js';
import type {Model, Value} from '../../onnx/graph.js';

export interface AnswerOptions {
  /** An output `probabilities` [N, classes]. */
  readonly softmax: boolean;
  /** Outputs `top_scores` and `top_classes` [N, k], best first: of the probabilities where there are some, else of the logits. */
  readonly topK: number | undefined;
  /** With `topK`: an output `top_labels` [N, k] of strings. In order of the classes. */
  readonly labels: readonly string[] | undefined;
}

const AFTER: ReadonlyMap<string, 'Identity' | 'Exp'> = new Map([
  ['Softmax', 'Identity'],
  ['Sigmoid', 'Identity'],
  ['LogSoftmax', 'Exp'],
]);

/** What makes probabilities of a network's last values: a softmax of what is one already would be another, nearly flat one. */
export const probabilityOperator = (model: Model, output: string): 'Softmax' | 'Identity' | 'Exp' =>
  AFTER.get(lastNode(model, output)?.opType ?? '') ?? 'Softmax';

function probabilities(model: Model, logits: Value): Value {
  const operator = probabilityOperator(model, logits.name);
  return model.graph.op(operator, [logits], operator === 'Softmax' ? {axis: 1} : {}, {name: 'probabilities'});
}

/** Leaves `original` as it is; its outputs come first. */
export function addAnswers(original: Model, {softmax, topK, labels}: AnswerOptions): Model {
  const model = cloneModel(original);
  const {graph} = model;
  const logits = classTable(model) ?? graph.outputs[0]!;
  const [batch, classes] = logits.dims;
  if (labels && labels.length !== classes)
    throw new GpdError('SHAPE_MISMATCH', `there are ${labels.length} labels for a network of ${classes} classes`, {
      hint: 'give one label for each class, in the order of the classes',
    });
  if (topK !== undefined && topK > (classes as number))
    throw new GpdError('SHAPE_MISMATCH', `the best ${topK} of ${classes} classes`, {hint: `ask for at most ${classes}`});
  const scores = softmax ? probabilities(model, logits) : logits;
  const outputs: Value[] = softmax ? [scores] : [];
  if (topK !== undefined) {
    const k = graph.initializer('top_k', int64([1], [topK]));
    const {outputs: found} = graph.node('TopK', [scores, k], {axis: 1}, {name: 'top_scores', outputs: 2});
    const [best, places] = found as [Value, Value];
    graph.rename(places, 'top_classes');
    outputs.push(best, places);
    if (labels) {
      const names = graph.op('Constant', [], {value_strings: labels}, {name: 'labels'});
      const types = [{dtype: 'string' as const, shape: [batch!, topK]}];
      outputs.push(graph.node('Gather', [names, places], {axis: 0}, {name: 'top_labels', types}).output);
    }
  }
  graph.outputs = [...graph.outputs, ...outputs];
  for (const [key, text] of gpdEntries({labels})) model.metadata.set(key, text);
  graph.prune();
  return model;
}
