/**
 * The names that exporters give a layer, as the path of its module: `layer3.0.conv2`, whether the file says
 * `/layer3/layer3.0/conv2/Conv_output_0` (torch since 1.13), `layer3.0.conv2.weight` (weights) or
 * `StatefulPartitionedCall/net/conv2/BiasAdd:0` (tf2onnx).
 */
import {ops} from '../../onnx/ops.js';

/** Written by a counter, and another layer in the next export: `123`, `input.4`, `onnx::Conv_193`, `val_7`, `Conv_12`. */
const COUNTED = /^(\d+|onnx::.*|val_\d+|getitem(_\d+)?|(input|x|out|output|residual|identity|res)\.\d+|(input|x|out)_?\d*)$/;
const NUMBERED_OPERATOR = /^([A-Z]\w*?)(_\d+)?(_output_\d+)?$/;
/** Operators of TensorFlow that stay in names. */
const OTHER_OPERATORS = new Set(
  'Conv2D DepthwiseConv2dNative depthwise separable_conv2d FusedBatchNormV3 FusedBatchNorm BiasAdd Relu6 ReadVariableOp ReadVariableOp_1 AddV2 batchnorm mul add add_1 mul_1 convolution'.split(
    ' ',
  ),
);
/** What TensorFlow calls the function around a model. */
const AROUND = /^(Statefu|Partitioned)[A-Za-z]*Call(_\d+)?$/;
/** The last part of a tensor's name, behind the path of its module. */
const TENSOR =
  /[./_](weight\w*|bias|kernel|gamma|beta|(tiny_|expanded_)?(running|moving)_(mean|var|variance)|vector|depthwise_kernel|pointwise_kernel)$/;

function isOperator(part: string): boolean {
  if (OTHER_OPERATORS.has(part)) return true;
  const name = NUMBERED_OPERATOR.exec(part)?.[1];
  return name !== undefined && (name in ops || OTHER_OPERATORS.has(name));
}

/** Whether a name was made by a counter: that two models have it says nothing. */
export const isCounted = (name: string): boolean => {
  const plain = name.replace(/:\d+$/, '');
  return plain === '' || COUNTED.test(plain) || (!plain.includes('/') && isOperator(plain));
};

/** torch names a member of a list with its list, inside the list's own name: layer1/layer1.0 is layer1.0. */
function joined(parts: readonly string[]): string {
  const path: string[] = [];
  for (const part of parts) {
    const last = path.at(-1);
    if (last !== undefined && part.startsWith(`${last}.`)) path.pop();
    path.push(part);
  }
  return path.join('.');
}

/** Of a node or of one of its outputs. Undefined for a name that a counter made. */
export function pathOfName(name: string): string | undefined {
  if (isCounted(name)) return undefined;
  const parts = name
    .replace(/:\d+$/, '')
    .split('/')
    .filter((part) => part !== '' && !AROUND.test(part));
  while (parts.length > 0 && isOperator(parts.at(-1)!)) parts.pop();
  return joined(parts) || undefined;
}

/** Of a weight: what stands before `.weight`, `.running_mean`, `/Conv2D/ReadVariableOp`. Undefined where nothing like that follows. */
export function pathOfWeight(name: string): string | undefined {
  if (isCounted(name)) return undefined;
  const bare = pathOfName(name) ?? '';
  if (TENSOR.test(bare)) return bare.replace(TENSOR, '') || undefined;
  return name.includes('/') && bare !== '' && /ReadVariableOp|\/[A-Z]\w*(_\d+)?$/.test(name.replace(/:\d+$/, ''))
    ? bare
    : undefined;
}

const partsOf = (path: string): string[] => path.split('.');
const without = (path: string, parts: number): string => partsOf(path).slice(parts).join('.');
/** Wrappers put one part before every path: `model.`, `module.`, `backbone.`; some put two. */
const MAX_WRAPPERS = 3;

/** How many leading parts all but a few of the paths share. */
function sharedParts(paths: readonly string[]): number {
  let shared = 0;
  while (shared < MAX_WRAPPERS && paths.length > 0) {
    const prefix = partsOf(paths[0]!)
      .slice(0, shared + 1)
      .join('.');
    if (paths.some((path) => !path.startsWith(`${prefix}.`))) break;
    shared++;
  }
  return shared;
}

/** Leading parts to leave out of the paths of either model, so that as many as possible are the same. */
export function wrappersOf(a: readonly string[], b: readonly string[]): [number, number] {
  let [best, found]: [[number, number], number] = [[0, 0], -1];
  for (let i = 0; i <= sharedParts(a); i++) {
    const known = new Set(a.map((path) => without(path, i)));
    for (let j = 0; j <= sharedParts(b); j++) {
      const same = b.filter((path) => known.has(without(path, j))).length;
      if (same > found) [best, found] = [[i, j], same];
    }
  }
  return best;
}

/** A path without so many leading parts. */
export const withoutWrappers = without;
