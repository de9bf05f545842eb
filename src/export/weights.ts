/**
 * The student's weights under the names that PyTorch users load them by, batch norms kept or folded into their convolutions. What is
 * kept loads into an unchanged torchvision or timm network: biases that merged branches left behind move into the running mean.
 */

import {GpdError} from '../core/error.js';
import {float32ToHalf} from '../core/half.js';
import {ViewBudget} from '../core/memory-budget.js';
import {
  byteLength,
  float32,
  type StateDict,
  sourceOf,
  type TensorSource,
  tensor,
  toFloat32,
  toFloat64,
} from '../core/tensor.js';
import {archs, isArchName} from '../models/families/index.js';
import {findNetworks} from '../models/names/find-networks.js';
import {normalisesItself} from '../models/normalisation.js';
import {manifestOf} from '../models/walk.js';
import {readGpd} from '../onnx/gpd-metadata.js';
import type {Model} from '../onnx/graph.js';
import type {BatchNormModule, ConvModule, Module} from '../reparam/modules.js';

export const batchNormChoices = ['keep', 'fold'] as const;
export type BatchNormChoice = (typeof batchNormChoices)[number];
export const weightNames = ['original', 'timm'] as const;
export type WeightNames = (typeof weightNames)[number];

type Weights = Map<string, TensorSource>;

const refuse = (problem: string, hint: string): GpdError =>
  new GpdError('EXPORT_REFUSED', `weights for PyTorch: ${problem}`, {hint});
const HINT = 'give the checkpoint instead of the ONNX file: it has everything that PyTorch’s network needs';

/** Each convolution with the batch norm behind it. */
function pairsOf(modules: readonly Module[]): [ConvModule, BatchNormModule][] {
  return modules.flatMap((m, i) => {
    const next = modules[i + 1];
    return m.kind === 'conv' && next?.kind === 'batchNorm' ? [[m, next] as [ConvModule, BatchNormModule]] : [];
  });
}

/**
 * Of an ONNX student: kernels and biases as they are. A file may give one tensor to many nodes; here each has its own, so that what they
 * take together is limited. Transformers are refused, their queries carry the factor of the scores.
 */
export function foldedWeights({graph, file = 'the network', metadata}: Model): StateDict {
  if (readGpd(metadata, 'normalisation')) throw normalisesItself();
  const odd = graph.nodes.find(({opType}) =>
    ['MatMul', 'Attention', 'LayerNormalization', 'BatchNormalization'].includes(opType),
  );
  if (odd) throw refuse(`${odd} holds weights in another form than PyTorch's`, HINT);
  const owned = graph.nodes.filter(({opType}) => opType === 'Conv' || opType === 'Gemm');
  const budget = new ViewBudget(graph.initializers.reduce((sum, {initializer}) => sum + byteLength(initializer!), 0));
  return new Map(
    owned.flatMap(({name, inputs}) =>
      ['weight', 'bias'].flatMap((leaf, i) => {
        const source = inputs[i + 1]?.initializer;
        if (source && source.dtype !== 'float32')
          throw refuse(`${name}.${leaf} is ${source.dtype}`, 'give the float32 student');
        if (!source) return [];
        budget.account(file, `${name}.${leaf}`)(byteLength(source));
        return [[`${name}.${leaf}`, source] as const];
      }),
    ),
  );
}

/** The layers of the network that a student was made of, where it is a published one. */
export function modulesOf({metadata}: Model): readonly Module[] {
  const name = readGpd(metadata, 'arch') ?? '';
  if (!isArchName(name))
    throw refuse(`the layers of '${name}' are not known, so batch norms cannot be kept`, `${HINT}; or fold them`);
  return manifestOf(archs[name].build()).modules;
}

/** Batch norms that do nothing but add the bias: γ = √(1 + ε), σ² = 1, μ = 0. For weights whose real ones are folded already. */
export function restoreBatchNorms(folded: StateDict, modules: readonly Module[]): StateDict {
  const weights: Weights = new Map();
  for (const m of modules) {
    const [weight, bias] = ['weight', 'bias'].map((leaf) => folded.get(`${m.name}.${leaf}`));
    if (weight) weights.set(`${m.name}.weight`, weight);
    if (bias && m.kind === 'linear') weights.set(`${m.name}.bias`, bias);
    const pair = pairsOf(modules).find(([conv]) => conv === m);
    if (!pair) continue;
    const [, {name, channels, eps}] = pair;
    const filled = (value: number) => sourceOf(float32([channels], new Float32Array(channels).fill(value)));
    weights.set(`${name}.weight`, filled(Math.sqrt(1 + eps)));
    weights.set(`${name}.bias`, bias ?? filled(0));
    weights.set(`${name}.running_mean`, filled(0));
    weights.set(`${name}.running_var`, filled(1));
    weights.set(`${name}.num_batches_tracked`, sourceOf(tensor('int64', [], BigInt64Array.of(0n))));
  }
  return weights;
}

/** γ·(x + b − μ)/σ + β = γ·(x − (μ − b))/σ + β: convolutions before a batch norm have no bias in torchvision and timm. */
export function withoutBiases(stateDict: StateDict, modules: readonly Module[]): StateDict {
  const weights: Weights = new Map(stateDict);
  for (const [conv, norm] of pairsOf(modules)) {
    const [bias, mean] = [weights.get(`${conv.name}.bias`), weights.get(`${norm.name}.running_mean`)];
    if (conv.bias || !bias || !mean) continue;
    const [b, mu] = [bias, mean].map((source) => toFloat64(source.read()).data) as [Float64Array, Float64Array];
    weights.delete(`${conv.name}.bias`);
    weights.set(
      `${norm.name}.running_mean`,
      sourceOf(
        float32(
          mean.shape,
          mu.map((v, i) => v - b[i]!),
        ),
      ),
    );
  }
  return weights;
}

/** Under the names of `names`: timm calls ResNets as torchvision does, and other families differently. */
export function renamed(stateDict: StateDict, names: WeightNames): StateDict {
  const family = findNetworks(stateDict)[0]?.family;
  const timmName = family?.timmName;
  if (names === 'original' || !timmName) return stateDict;
  return new Map([...stateDict].map(([key, source]) => [timmName(key), source]));
}

/** Floats in half the bytes; counters stay. */
export function inHalf(stateDict: StateDict): StateDict {
  return new Map(
    [...stateDict].map(([key, source]): [string, TensorSource] => {
      if (source.dtype !== 'float32') return [key, source];
      const {shape} = source;
      const read = () => tensor('float16', shape, float32ToHalf(toFloat32(source.read()).data) as Uint16Array<ArrayBuffer>);
      return [key, {dtype: 'float16', shape, read}];
    }),
  );
}
