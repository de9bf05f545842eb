import type {Random} from '../../src/core/random.js';
import {checkModel} from '../../src/onnx/check.js';
import {decodeModel} from '../../src/onnx/decode.js';
import {modelBytes} from '../../src/onnx/encode.js';
import {ops} from '../../src/onnx/ops.js';
import {
  type AttributeMessage,
  attributeTypes,
  type GraphMessage,
  type ModelMessage,
  ModelProto,
  type NodeMessage,
  type TensorMessage,
  type ValueInfoMessage,
} from '../../src/onnx/proto.js';
import {printModel} from '../../src/onnx/text.js';
import {bend} from '../bend.js';
import {anyNumber, chance, noise, pick, several, trickyNames} from '../dice.js';
import type {Reader} from '../reader.js';

const opTypes = Object.keys(ops);
const MAX_DEPTH = 2;

const name = (dice: Random, wanted: string): string => (chance(dice, 0.97) ? wanted : pick(dice, trickyNames));

/** data_type, bytes per element, the list that holds the numbers where raw_data does not. */
const types = [
  [1, 4, 'floatData'],
  [7, 8, 'int64Data'],
  [6, 4, 'int32Data'],
  [10, 2, 'int32Data'],
  [11, 8, 'doubleData'],
  [9, 1, 'int32Data'],
] as const;

function tensor(dice: Random, called: string): TensorMessage {
  const [dataType, width, list] = pick(dice, types);
  const dims = several(dice, 3, () => dice.integer(4));
  const count = dims.reduce((n, d) => n * d, 1);
  const made: TensorMessage = {name: called, dataType, dims};
  if (chance(dice, 0.05)) {
    const externalData = [{key: 'location', value: 'w.bin'}].concat(chance(dice, 0.5) ? [{key: 'offset', value: '4'}] : []);
    return {...made, dataLocation: 1, externalData};
  }
  if (chance(dice, 0.6)) return {...made, rawData: noise(dice, count * width)};
  return {...made, [list]: Array.from({length: count}, () => dice.integer(5) - 2)};
}

/** A list of integers such as a target of Reshape, or axes. */
const integers = (dice: Random, called: string): TensorMessage => {
  const int64Data = several(dice, 4, () => (chance(dice, 0.2) ? anyNumber(dice) : dice.integer(5) - 1));
  return {name: called, dataType: 7, dims: [int64Data.length], int64Data};
};

function valueInfo(dice: Random, called: string): ValueInfoMessage {
  const dim = several(dice, 4, () => pick(dice, [{dimValue: dice.integer(6)}, {dimParam: 'N'}, {}]));
  return {name: called, type: {tensorType: {elemType: pick(dice, types)[0], ...(chance(dice, 0.9) && {shape: {dim}})}}};
}

function attribute(dice: Random, opType: string, depth: number, scope: readonly string[]): AttributeMessage {
  const known = Object.entries(ops[opType]?.attributes ?? {});
  const [called, kind] =
    known.length > 0 && chance(dice, 0.8) ? pick(dice, known) : [name(dice, 'extra'), anyKind(dice, depth)];
  const made: AttributeMessage = {name: called, type: attributeTypes[kind]};
  if (kind === 'graph') return {...made, g: graph(dice, depth + 1, scope)};
  if (kind === 'tensor') return {...made, t: tensor(dice, '')};
  const number = () => dice.integer(7) - 2;
  const numbers = several(dice, 4, number);
  const text = new TextEncoder().encode(pick(dice, trickyNames));
  const values = {i: number(), f: number() / 3, ints: numbers, floats: numbers, s: text, strings: [text]};
  const field = {int: 'i', float: 'f', ints: 'ints', floats: 'floats', string: 's', strings: 'strings'} as const;
  return {...made, [field[kind]]: values[field[kind]]};
}
const anyKind = (dice: Random, depth: number) =>
  pick(
    dice,
    depth < MAX_DEPTH ? (Object.keys(attributeTypes) as (keyof typeof attributeTypes)[]) : (['int', 'floats'] as const),
  );

function graph(dice: Random, depth: number, outer: readonly string[]): GraphMessage {
  const prefix = 'abc'[depth]!;
  const input = several(dice, 2, (i) => valueInfo(dice, name(dice, `${prefix}x${i}`)));
  const initializer = several(dice, 3, (i) =>
    chance(dice, 0.5) ? tensor(dice, name(dice, `${prefix}w${i}`)) : integers(dice, name(dice, `${prefix}w${i}`)),
  );
  const scope = [...outer, ...input.map((v) => v.name!), ...initializer.map((t) => t.name!)];
  const node = several(dice, 5, (i): NodeMessage => {
    const opType = chance(dice, 0.97) ? pick(dice, opTypes) : pick(dice, trickyNames);
    const inputs = scope.length > 0 ? several(dice, 4, () => (chance(dice, 0.05) ? '' : pick(dice, scope))) : [];
    const output = [name(dice, `${prefix}n${i}`), ...several(dice, 1, () => `${prefix}m${i}`)];
    const domain = chance(dice, 0.03) ? 'com.example' : '';
    const attributes = several(dice, 2, () => attribute(dice, opType, depth, scope));
    scope.push(...output);
    return {opType, name: name(dice, `${prefix}node${i}`), input: inputs, output, domain, attribute: attributes};
  });
  const made = scope.filter((called) => called.startsWith(prefix));
  const output = made.length > 0 ? [valueInfo(dice, made.at(-1)!)] : [];
  return {
    name: name(dice, 'g'),
    input,
    initializer,
    node,
    output,
    valueInfo: several(dice, 2, () => valueInfo(dice, `${prefix}n0`)),
  };
}

const model = (dice: Random): ModelMessage => ({
  irVersion: 8,
  producerName: 'fuzz',
  opsetImport: [{version: pick(dice, [13, 17, 20, 23])}, ...several(dice, 1, () => ({domain: 'com.example', version: 1}))],
  metadataProps: several(dice, 2, (i) => ({key: name(dice, `key${i}`), value: pick(dice, trickyNames)})),
  graph: graph(dice, 0, []),
});

export const onnx: Reader = {
  name: 'onnx',
  generate(dice, bends) {
    const message = model(dice);
    for (let i = 0; i < bends; i++) bend(message, dice);
    return new Uint8Array(ModelProto.encode(message).finish());
  },
  read(bytes) {
    const decoded = decodeModel(bytes);
    const findings = checkModel(decoded);
    printModel(decoded);
    if (findings.length > 0) return `findings ${[...new Set(findings.map(({kind}) => kind))].sort()}`;
    const {nodes} = decodeModel(modelBytes(decoded)).graph;
    if (nodes.length !== decoded.graph.nodes.length) throw new Error('written and read again it is another model');
    return `valid, ${Math.min(nodes.length, 5)} nodes`;
  },
};
