/** A finished model in another opset: forms that changed are rewritten, what the older opset cannot say is refused. */
import {GpdError} from '../core/error.js';
import {irVersionOf} from '../models/training-form.js';
import {assertValid} from '../onnx/check.js';
import type {Model, Node} from '../onnx/graph.js';
import {ops} from '../onnx/ops.js';
import {adaptToOpset} from '../onnx/passes/lower.js';
import {cloneModel} from './clone.js';

export interface Versions {
  readonly opset: number;
  /** Default: the one that came with the opset. */
  readonly irVersion?: number | undefined;
}

/** A node whose form in other opsets is not known here. */
export const foreignIn = ({graph}: Model): Node | undefined =>
  graph.nodes.find(({opType, domain}) => domain !== '' || !ops[opType]);

/** Throws OPSET_UNSUPPORTED with the operators that are too new, EXPORT_REFUSED for operators that are not known here. */
export function toOpset(original: Model, {opset, irVersion = irVersionOf(opset)}: Versions): Model {
  const model = {...cloneModel(original), opset, irVersion};
  if (opset === original.opset) return model;
  const foreign = foreignIn(model);
  if (foreign)
    throw new GpdError(
      'EXPORT_REFUSED',
      `opset ${opset}: it is not known here how ${foreign} changed since opset ${original.opset}`,
      {
        at: foreign.name,
        hint: `keep opset ${original.opset}, or export from the checkpoint`,
      },
    );
  adaptToOpset(model);
  assertValid(model, `opset ${opset}`);
  return model;
}
