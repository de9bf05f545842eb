/**
 * The student as weights for PyTorch: the plain network's own names and shapes, branches merged, the student's statistics as
 * running ones. What the original's `--deploy` writes: an OREPA convolution gets a weight and a bias, batch norms stay.
 */
import {type StateDict, sourceOf, type Tensor} from '../core/tensor.js';
import {producer} from '../core/version.js';
import {normalisesItself} from '../models/normalisation.js';
import type {Recognised} from '../models/recognise.js';
import {tensorLoader} from '../models/training-form.js';
import {foldConstants} from '../onnx/fold-constants.js';
import {Graph, type Value} from '../onnx/graph.js';
import {runPasses} from '../onnx/pass.js';
import {readInPart} from '../onnx/passes/index.js';
import {graphOps} from '../onnx/tensor-ops.js';
import type {Module} from '../reparam/modules.js';
import {type LayerParameters, parametersOf} from '../reparam/parameters.js';
import type {TensorOps} from '../reparam/tensor-ops.js';

/** What PyTorch calls the parameters of a layer, in its order. */
function leavesOf(m: Module, p: LayerParameters<Value>, ops: TensorOps<Value>): [leaf: string, value: Value | undefined][] {
  switch (m.kind) {
    case 'conv': {
      const {weight, bias} = p.conv(m);
      return [
        ['weight', weight],
        ['bias', bias],
      ];
    }
    case 'linear': {
      const {weight, bias} = p.linear(m);
      return [
        ['weight', m.pointwise ? ops.reshape(weight, [m.out, m.in, 1, 1]) : weight],
        ['bias', bias],
      ];
    }
    case 'batchNorm': {
      const {gamma, beta, mean, variance} = p.batchNorm(m);
      return [
        ['weight', gamma],
        ['bias', beta],
        ['running_mean', mean],
        ['running_var', variance],
      ];
    }
    case 'layerNorm': {
      const {gamma, beta} = p.layerNorm(m);
      return [
        ['weight', gamma],
        ['bias', beta],
      ];
    }
    case 'mask':
      return [['att_mask', p.mask(m)]];
  }
}

/** Expressions for every tensor of the plain network, as outputs of one graph; folding computes them as it does for ONNX. */
export async function deployedWeights(r: Recognised): Promise<StateDict> {
  if (r.arch.normalisation) throw normalisesItself();
  const graph = new Graph('weights');
  const ops = graphOps(graph, () => 'weight');
  const parameters = parametersOf(ops, r.form, 'student', tensorLoader(graph, r.stateDict));
  const values = r.modules.flatMap((m) => leavesOf(m, parameters, ops).map(([leaf, value]) => ({m, leaf, value})));
  const present = values.flatMap(({m, leaf, value}) => (value ? [{key: `${m.name}.${leaf}`, value}] : []));
  // An output may be a stored tensor itself; Identity gives each an expression of its own, so that outputs stay distinct.
  graph.outputs = present.map(({value, key}) => graph.op('Identity', [value], {}, {name: `${key}/out`}));
  graph.prune();
  const model = {graph, opset: 20, domains: new Map(), irVersion: 9, producer, metadata: new Map()};
  await runPasses(model, [readInPart, foldConstants]);
  const folded = new Map<string, Tensor>(present.map(({key}, i) => [key, graph.outputs[i]!.initializer!.read()]));
  return withCounters(r, folded);
}

/** Batch norms count the batches they were trained on; PyTorch expects the counter to be there. */
function withCounters(r: Recognised, folded: ReadonlyMap<string, Tensor>): StateDict {
  const entries = [...folded].flatMap(([key, tensor]) => {
    const counterKey = key.replace(/running_var$/, 'num_batches_tracked');
    const counter = counterKey === key ? undefined : r.stateDict.get(counterKey);
    const own = [key, sourceOf(tensor)] as const;
    return counter ? [own, [counterKey, counter] as const] : [own];
  });
  return new Map(entries);
}
