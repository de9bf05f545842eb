/** What follows a product in one fused kernel: a bias and an activation. */
import type {Value} from '../../onnx/graph.js';
import type {Attributes} from '../lowering/kernel-entry.js';
import type {Lowering} from '../lowering/lowering.js';
import type {LazyValue, Permutation} from '../lowering/value.js';
import {unaryFormulas} from './unary.js';

/** The inputs of a fused kernel by name: `bias` and `preluActivationWeights` may be missing. */
export function fusedInputs(inputs: readonly LazyValue[], {given}: {given: readonly string[]}) {
  const named = (name: string) => (given.includes(name) ? inputs[given.indexOf(name)] : undefined);
  return {bias: named('bias'), slopes: named('preluActivationWeights')};
}

/** x in the order `perm`, through the activation. Slopes are ready to broadcast. */
export function activate(g: Lowering, x: Value, attrs: Attributes, slopes: Value | undefined): Value {
  const {activation = 'linear'} = attrs;
  if (activation === 'linear') return x;
  if (activation === 'prelu') return g.op('PRelu', [x, slopes]);
  return unaryFormulas[activation]!(g, x, attrs);
}

export const refusesActivation = ({activation = 'linear'}: Attributes): string | undefined =>
  activation === 'linear' || activation === 'prelu' || activation in unaryFormulas ? undefined : `activation ${activation}`;

/** A vector along the channels, which in NCHW are not last; or anything else that broadcasts. */
export function alongChannels(g: Lowering, v: LazyValue, perm: Permutation, dataFormat = 'NHWC'): Value {
  const isVector = v.shape.length === 1 && v.shape[0] !== 1;
  return dataFormat === 'NCHW' && isVector ? g.reshape(g.plain(v), [v.shape[0]!, 1, 1]) : g.broadcastable(v, perm);
}
