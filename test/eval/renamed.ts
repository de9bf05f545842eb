/** Networks of this project as PyTorch's exporters write them: names of both its styles, and mistakes that exports have. */
import type {Tensor} from '../../src/core/tensor.js';
import {type Attribute, Graph, type Model, type Node, type Value} from '../../src/onnx/graph.js';

/**
 * scoped: torch since 1.13, batch norms folded (`/layer1/layer1.0/conv1/Conv_output_0`, weights `onnx::Conv_193`); counted: before
 * (`123`, `Conv_12`); weights: values counted, weights by their names, as without folding.
 */
export type NameStyle = 'scoped' | 'counted' | 'weights';

export interface Mistakes {
  /** The numbers of an initializer. */
  readonly weights?: ((name: string, numbers: Tensor) => Tensor) | undefined;
  readonly attributes?: (node: Node) => Readonly<Record<string, Attribute>>;
  /** Another operator on fewer inputs. */
  readonly operator?: (node: Node) => {opType: string; inputs: number; attributes: ReadonlyMap<string, Attribute>} | undefined;
}

/** `layer1.0.conv1` → `/layer1/layer1.0/conv1` */
export function scopeOf(path: string): string {
  const scopes: string[] = [];
  for (const part of path.split('.')) {
    if (/^\d+$/.test(part) && scopes.length > 0) scopes.push(`${scopes.at(-1)}.${part}`);
    else scopes.push(part);
  }
  return `/${scopes.join('/')}`;
}

const moduleOf = (node: Node): string | undefined => {
  const weight = node.inputs.find((v) => v?.initializer && /\.(weight|bias)(\/|$)/.test(v.name));
  return weight?.name.replace(/\.(weight|bias)(\/.*)?$/, '');
};

export function renamed({graph, ...rest}: Model, style: NameStyle, mistakes: Mistakes = {}): Model {
  const made = new Graph('torch_jit');
  const copies = new Map<Value, Value>();
  let counter = 100;
  for (const {name, dtype, shape} of graph.inputs) copies.set(graph.value(name)!, made.input('input.1', dtype, shape));
  for (const value of graph.initializers) {
    const numbers = value.initializer!.read();
    const name = style === 'weights' ? value.name : style === 'scoped' ? `onnx::Weight_${counter++}` : String(counter++);
    copies.set(value, made.initializer(name, mistakes.weights?.(value.name, numbers) ?? numbers));
  }
  for (const node of graph.nodes) {
    const other = mistakes.operator?.(node);
    const opType = other?.opType ?? node.opType;
    const inputs = node.inputs.slice(0, other?.inputs).map((v) => v && copies.get(v));
    const scope = scopeOf(moduleOf(node) ?? node.name.replaceAll('/', '.').replace(/^(.*)\.[^.]*$/, '$1'));
    const name = style === 'scoped' ? `${scope}/${opType}_${counter}` : `${opType}_${counter}`;
    const outputs = node.outputs.map((_, i) =>
      style === 'scoped' ? `${scope}/${opType}_${counter}_output_${i}` : `${counter}${i}`,
    );
    counter++;
    const attributes = new Map([
      ...(other?.attributes ?? node.attributes),
      ...Object.entries(mistakes.attributes?.(node) ?? {}),
    ]);
    // A batch norm in training mode gives its new statistics too.
    if (attributes.get('training_mode')?.value === 1) outputs.push(`${outputs[0]}.mean`, `${outputs[0]}.variance`);
    const copy = made.addNode(opType, inputs, attributes, {
      name,
      outputNames: outputs,
      types: node.outputs.map(({dtype, shape}) => ({dtype, shape})),
    });
    for (const [i, output] of node.outputs.entries()) copies.set(output, copy.outputs[i]!);
  }
  made.outputs = graph.outputs.map((output) => copies.get(output)!);
  made.rename(made.outputs[0]!, 'output');
  return {...rest, graph: made, metadata: new Map()};
}
