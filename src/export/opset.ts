/** A finished model in another opset: forms that changed are rewritten, what the older opset cannot say is refused. */
import {GpdError} from '../core/error.js';
import {irVersionOf} from '../models/training-form.js';
import {assertValid} from '../onnx/check.js';
import {cloneModel} from '../onnx/clone-model.js';
import type {Model, Node} from '../onnx/graph.js';
import {ops} from '../onnx/ops.js';
import {adaptToOpset} from '../onnx/passes/lower.js';
import {cannotRaise} from '../onnx/passes/raise.js';

export interface Versions {
  readonly opset: number;
  /** Default: the one that came with the opset. */
  readonly irVersion?: number | undefined;
}

/** A node that is not known here at all. */
const foreignIn = ({graph}: Model): Node | undefined => graph.nodes.find(({opType, domain}) => domain !== '' || !ops[opType]);

/** A node that is not known in the form of a newer opset. */
export const notRaisable = (model: Model, opset: number): Node | undefined =>
  foreignIn(model) ?? cannotRaise({...model, opset}, model.opset);

/** Throws OPSET_UNSUPPORTED with the operators that are too new, EXPORT_REFUSED for operators that are not known here. */
export function toOpset(original: Model, {opset, irVersion = irVersionOf(opset)}: Versions): Model {
  const model = {...cloneModel(original), opset, irVersion};
  if (opset === original.opset) return model;
  const foreign = foreignIn(model) ?? cannotRaise(model, original.opset);
  if (foreign)
    throw new GpdError(
      'EXPORT_REFUSED',
      `opset ${opset}: it is not known here how ${foreign} changed since opset ${original.opset}`,
      {
        at: foreign.name,
        hint: `keep opset ${original.opset}, or export from the checkpoint`,
      },
    );
  adaptToOpset(model, original.opset);
  assertValid(model, `opset ${opset}`);
  return model;
}
