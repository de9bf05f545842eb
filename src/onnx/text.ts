/**
 * The text of a model: one line per value, stable, so that two graphs can be compared with diff. `parse-text.ts` reads it back.
 *
 *     model opset 17, ir 8, producer "gpd" "0.1.0"
 *     metadata gpd.source = "resnet18.pth.tar"
 *     graph resnet18 (%input: f32[N, 3, 224, 224]) -> (%logits)
 *       %conv1.weight = f32[64, 3, 7, 7] #1f3a9c04
 *       %conv1: f32[N, 64, 112, 112] = Conv(%input, %conv1.weight) {pads = [3, 3, 3, 3], strides = [2, 2]}
 *       %relu: f32[N, 64, 112, 112] = Relu(%conv1)
 *       %sizes = i64[2] {32, 32}
 *       %a: f32[N, 32], %b: f32[N, 32] = Split(%x, %sizes) {axis = 1}
 *       %c: f32? = com.microsoft.Foo(%a, _, %b)
 *
 * A constant stands before its first use: its numbers up to eight elements, else the first 8 hexadecimal digits of the SHA-256
 * of its bytes. `?` is an unknown shape, `_` an input or output that is left out. Attributes are sorted; a float is written
 * with a point or an exponent, an int without. A name with other characters than letters, digits and `_./-` is a JSON string:
 * `%"a b"`. Names of nodes are not part of the text.
 */
import {createHash} from 'node:crypto';
import {bfloat16ToFloat32, halfToFloat32} from '../core/half.js';
import {printableJson} from '../core/printable.js';
import {bytesOf, elementCount, formatShape, type Tensor, type TensorSource} from '../core/tensor.js';
import type {Attribute, Dim, Dims, Graph, Model, Node, Value} from './graph.js';
import type {ValueType} from './ops.js';

/** dtype → its short name, as in Rust and in ONNX's own tools. */
export const shortNames: Readonly<Record<ValueType, string>> = {
  float64: 'f64',
  float32: 'f32',
  float16: 'f16',
  bfloat16: 'bf16',
  int64: 'i64',
  int32: 'i32',
  int16: 'i16',
  int8: 'i8',
  uint8: 'u8',
  bool: 'bool',
  string: 'str',
};
/** Constants with up to so many elements are printed as numbers. */
const MAX_INLINE = 8;
const PLAIN_NAME = /^(?!\/\/)[\w./-]+$/;

/** A model as text, a line for each value. */
export function printModel(model: Model): string {
  const {opset, irVersion, producer, domains, metadata, graph} = model;
  const versions = [`opset ${opset}`, ...[...domains].map(([domain, version]) => `${quoteUnlessPlain(domain)} ${version}`)];
  const head = `model ${versions.join(', ')}, ir ${irVersion}, producer ${printableJson(producer.name)} ${printableJson(producer.version)}`;
  const properties = [...metadata].map(([key, value]) => `metadata ${quoteUnlessPlain(key)} = ${printableJson(value)}`);
  return [head, ...properties, printGraph(graph)].join('\n');
}

/** The text of a graph, with a line break at its end. */
export const printGraph = (graph: Graph): string => `${graphLines(graph).join('\n')}\n`;

function graphLines(graph: Graph): string[] {
  const inputs = graph.inputs.map((v) => `%${nameOf(v)}: ${typeOf(v)}`).join(', ');
  const outputs = graph.outputs.map((v) => `%${nameOf(v)}`).join(', ');
  const lines = [`graph ${quoteUnlessPlain(graph.name)} (${inputs}) -> (${outputs})`];
  const printed = new Set<Value>();
  const constant = (value: Value | undefined) => {
    if (!value?.initializer || printed.has(value) || graph.value(value.name) !== value) return;
    printed.add(value);
    lines.push(`  %${nameOf(value)} = ${printConstant(value.initializer)}`);
  };
  for (const node of graph.nodes) {
    for (const input of [...node.inputs, ...node.captured]) constant(input);
    lines.push(...printNode(node).map((line) => `  ${line}`));
  }
  for (const value of graph.initializers) constant(value);
  return lines;
}

function printNode(node: Node): string[] {
  const outputs = node.outputs.map((v) => (v.name === '' ? '_' : `%${nameOf(v)}: ${typeOf(v)}`)).join(', ');
  const inputs = node.inputs.map((v) => (v ? `%${nameOf(v)}` : '_')).join(', ');
  const operator = quoteUnlessPlain(node.domain === '' ? node.opType : `${node.domain}.${node.opType}`);
  const call = `${outputs} = ${operator}(${inputs})`;
  if (node.attributes.size === 0) return [call];
  const attributes = [...node.attributes]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([key, a]) => `${quoteUnlessPlain(key)} = ${printAttribute(a)}`);
  return `${call} {${attributes.join(', ')}}`.split('\n');
}

function printAttribute(attribute: Attribute): string {
  switch (attribute.kind) {
    case 'int':
      return printInt(attribute.value);
    case 'float':
      return printFloat(attribute.value);
    case 'string':
      return printableJson(attribute.value);
    case 'ints':
      return `[${attribute.value.map(printInt).join(', ')}]`;
    case 'floats':
      return `[${attribute.value.map(printFloat).join(', ')}]`;
    case 'strings':
      return `[${attribute.value.map((s) => printableJson(s)).join(', ')}]`;
    case 'tensor':
      return printConstant({...attribute.value, read: () => attribute.value});
    case 'graph':
      return `{\n${graphLines(attribute.value).join('\n')}\n}`;
  }
}

const quoteUnlessPlain = (name: string): string => (PLAIN_NAME.test(name) ? name : printableJson(name));
const nameOf = (value: Value): string => quoteUnlessPlain(value.name);
const typeOf = (value: Value): string => printType(value.dtype, value.shape);
export const printType = (dtype: ValueType, shape: Dims | undefined): string =>
  shortNames[dtype] + (shape ? formatShape(shape.map(printDim)) : '?');
/** A symbol that could be taken for a number is quoted too. */
const printDim = (d: Dim): Dim => (typeof d === 'number' ? d : /^-?\d/.test(d) ? printableJson(d) : quoteUnlessPlain(d));

/** `f32[2] {1, 2}` for a small constant, `f32[64, 3, 7, 7] #1f3a9c04` for a large one. */
export function printConstant(source: TensorSource): string {
  const type = printType(source.dtype, source.shape);
  const constant = source.read();
  return elementCount(source.shape) <= MAX_INLINE ? `${type} {${printNumbers(constant)}}` : `${type} #${digest(constant)}`;
}

/** The first 8 hexadecimal digits of the SHA-256 of the bytes. */
export const digest = (constant: Tensor): string => createHash('sha256').update(bytesOf(constant)).digest('hex').slice(0, 8);

function printNumbers(constant: Tensor): string {
  const {dtype, data} = constant;
  const values =
    dtype === 'float16'
      ? halfToFloat32(data as Uint16Array)
      : dtype === 'bfloat16'
        ? bfloat16ToFloat32(data as Uint16Array)
        : data;
  const print = dtype.startsWith('float') && dtype !== 'float64' ? printFloat32 : String;
  return Array.from(values as ArrayLike<number | bigint>, (v) => (Object.is(v, -0) ? '-0' : print(v as number))).join(', ');
}

/** The shortest decimal that reads back as the same float32: 0.1, not 0.10000000149011612. Nine digits always do. */
function printFloat32(value: number): string {
  for (let digits = 1; digits < 9; digits++) {
    const short = Number(value.toPrecision(digits));
    if (Math.fround(short) === value) return String(short);
  }
  return String(value);
}

const printInt = (value: number): string => (Number.isSafeInteger(value) ? String(value) : BigInt(value).toString());
/** Attributes are float32 on the wire. The point says that it is not an int. */
function printFloat(value: number): string {
  const text = Object.is(value, -0) ? '-0' : printFloat32(Math.fround(value));
  return /[.eIN]/.test(text) ? text : `${text}.0`;
}
