/**
 * (x − μ)/σ before a convolution w∗· + b, moved into it where that is exact. The division always is: w/σ. The subtraction is not where
 * the convolution pads: it pads with zeros, which stand for the mean colour, and would stand for black.
 */
import {float32, toFloat64} from '../../core/tensor.js';
import type {Model, Node, Value} from '../../onnx/graph.js';

/** Per colour, of bytes: 255·mean and 255·std. */
export interface Normalisation {
  readonly mean: readonly number[];
  readonly std: readonly number[];
}
export interface Folding {
  readonly division: 'folded' | 'node';
  readonly subtraction: 'folded' | 'node';
  /** A sentence. */
  readonly because: string;
}

const none = (why: string): Folding => ({
  division: 'node',
  subtraction: 'node',
  because: `normalisation is kept as nodes: ${why}`,
});

const isPadded = (conv: Node): boolean =>
  conv.numbers('pads').some((pad) => pad > 0) || !['NOTSET', 'VALID'].includes(conv.text('auto_pad', 'NOTSET'));

/** Replaces the first convolution of the model. */
export function foldNormalisation({graph}: Model, {mean, std}: Normalisation): Folding {
  const [conv, ...others] = graph.inputs[0]!.users;
  if (!conv || others.length > 0) return none('the images go to several nodes');
  if (conv.opType !== 'Conv') return none(`the images go to ${conv}, which is no convolution`);
  const {
    name,
    inputs: [image, weight, bias],
  } = conv;
  if (weight?.initializer?.dtype !== 'float32' || (bias && !bias.initializer))
    return none(`the kernel of ${name} is not a float32 constant`);
  if (conv.number('group', 1) !== 1) return none(`${name} has groups`);
  const {shape, data} = toFloat64(weight.initializer.read()); // [O, 3, kH, kW]
  const area = shape[2]! * shape[3]!;
  const colour = (i: number) => Math.floor(i / area) % 3;
  const scaled = data.map((w, i) => w / std[colour(i)]!);
  const replace = (biases: Value | undefined): void => {
    const kernel = graph.initializer(weight.name, float32(shape, scaled));
    const node = graph.addNode('Conv', [image, kernel, biases], conv.attributes, {name});
    graph.replaceUses(conv.output, node.output);
    graph.takeName(node.output, conv.output);
    graph.takeNodeName(node, conv);
    graph.prune();
  };
  if (isPadded(conv)) {
    replace(bias);
    const because = `the division is folded into ${name}; the subtraction stays a node: ${name} pads with zeros, which stand for the mean colour`;
    return {division: 'folded', subtraction: 'node', because};
  }
  const shifted = bias ? toFloat64(bias.initializer!.read()).data.slice() : new Float64Array(shape[0]!);
  for (const [i, w] of scaled.entries()) shifted[Math.floor(i / (3 * area))]! -= w * mean[colour(i)]!;
  replace(graph.initializer(bias?.name ?? `${name}.bias`, float32([shape[0]!], shifted)));
  return {division: 'folded', subtraction: 'folded', because: `normalisation is folded into ${name}, which pads nothing`};
}
