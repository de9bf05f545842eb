/** Nodes whose numbers are not a function of the image: random ones, and those that are still in training mode. */
import type {Model, Node} from './graph.js';

const RANDOM = new Set(['RandomNormal', 'RandomNormalLike', 'RandomUniform', 'RandomUniformLike', 'Bernoulli', 'Multinomial']);
const ATTRIBUTE_UNTIL = 7; // is_test was an attribute before this opset, 0 by default

const drawsNumbers = (node: Node): string => `${node} draws random numbers`;

/** What is wrong with a node, as a clause; undefined for one that computes the same every time. */
function unsteady(node: Node, opset: number): string | undefined {
  if (node.domain !== '' && node.domain !== 'ai.onnx') return undefined;
  if (RANDOM.has(node.opType)) return drawsNumbers(node);
  const isTraining = opset < ATTRIBUTE_UNTIL && node.number('is_test', 0) === 0;
  if (node.opType === 'Dropout' && (isTraining || dropoutTrains(node))) return `${node} is in training mode`;
  if (node.opType === 'BatchNormalization' && (isTraining || node.number('training_mode', 0) !== 0))
    return `${node} is in training mode and normalises by the images of the batch`;
  return undefined;
}

/** By its third input, whose default is false. What is computed may be either. */
function dropoutTrains({inputs: [, , mode]}: Node): boolean {
  if (!mode) return false;
  const stored = mode.initializer?.read().data ?? constantOf(mode.producer);
  return stored === undefined || stored[0] !== 0;
}
function constantOf(node: Node | undefined): ArrayLike<number | bigint> | undefined {
  const value = node?.opType === 'Constant' ? node.attributes.get('value') : undefined;
  return value?.kind === 'tensor' ? value.value.data : undefined;
}

/** A clause for each node that any output depends on, branches and loops included. */
export function unsteadyNodes({graph, opset}: Model): string[] {
  const found = new Set<string>();
  const seen = new Set<Node>();
  const waiting = graph.outputs.map(({producer}) => producer);
  for (let i = 0; i < waiting.length; i++) {
    const node = waiting[i];
    if (!node || seen.has(node)) continue;
    seen.add(node);
    const clause = unsteady(node, opset);
    if (clause !== undefined) found.add(clause);
    for (const attribute of node.attributes.values())
      if (attribute.kind === 'graph') waiting.push(...attribute.value.outputs.map(({producer}) => producer));
    for (const value of [...node.inputs, ...node.captured]) waiting.push(value?.producer);
  }
  return [...found];
}

const MAX_LISTED = 3;

/** No sentence, or one that names the nodes. */
export function unsteadyWarnings(model: Model): string[] {
  const clauses = unsteadyNodes(model);
  if (clauses.length === 0) return [];
  const more = clauses.length > MAX_LISTED ? ` and ${clauses.length - MAX_LISTED} more` : '';
  return [`${clauses.slice(0, MAX_LISTED).join(', ')}${more}: its answers are not a function of the image`];
}
