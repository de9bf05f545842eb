/**
 * Reads the text form of `text.ts`, so that a test can be written as text before, a rule, text after. What a test leaves out is
 * filled in: the types of node outputs are inferred, the `model` line may be absent. Constants too large to print are made:
 *
 *     %w = f32[64, 3, 7, 7] ~7        standard normal numbers from seed 7
 *     %v = f32[64] ~+7                the same, made positive (variances, scales): |n| + 0.1
 *     %z = f32[64] {0}                one number fills the whole tensor
 *
 * A constant that is only a digest (#1f3a9c04) cannot be read: its numbers are not there. Comments begin with `//`.
 */
import {float32ToHalf} from '../core/half.js';
import {random} from '../core/random.js';
import {type DataOf, type DType, dtypes, elementCount, type Shape, type Tensor, tensor} from '../core/tensor.js';
import {type Attribute, type Dims, Graph, type Model, type Value} from './graph.js';
import {inferOutputs, type OutputType, ops, type ValueType} from './ops.js';
import {shortNames} from './text.js';

const SPACE = /(?:\s|\/\/[^\n]*)*/y;
const tokens = [
  '->',
  /%(?:"(?:[^"\\]|\\.)*"|[\w./-]+)/, // a value
  /"(?:[^"\\]|\\.)*"/,
  /#[0-9a-f]+/,
  /~\+?\d+/,
  /-?(?:\d[\d.]*(?:e[+-]?\d+)?|Infinity)(?![\w./-])/,
  /(?!\/\/)[\w./-]+/,
  /[()[\]{}=:,?]/,
].map((token) => (typeof token === 'string' ? token : token.source));
const TOKEN = new RegExp(tokens.join('|'), 'y');

const dtypeOf = new Map(Object.entries(shortNames).map(([dtype, short]) => [short, dtype as ValueType]));

export function parseGraph(text: string): Graph {
  const parser = new Parser(text);
  const graph = parser.graph(new Map());
  parser.end();
  return graph;
}

/** A model; the opset is 17 unless the text says otherwise. */
export function parseModel(text: string): Model {
  const parser = new Parser(text);
  const header = parser.modelHeader();
  const graph = parser.graph(new Map());
  parser.end();
  return {...header, graph};
}

type Scope = ReadonlyMap<string, Value>;

class Parser {
  private position = 0;
  private token = '';

  constructor(private readonly text: string) {
    this.advance();
  }

  modelHeader(): Omit<Model, 'graph'> {
    const header = {opset: 17, domains: new Map<string, number>(), irVersion: 8, producer: {name: '', version: ''}};
    const metadata = new Map<string, string>();
    if (this.accept('model')) {
      do this.headerField(header);
      while (this.accept(','));
    }
    while (this.accept('metadata')) {
      const key = this.word();
      this.expect('=');
      metadata.set(key, this.word());
    }
    return {...header, metadata};
  }

  private headerField(header: Omit<Model, 'graph' | 'metadata'>): void {
    const field = this.word();
    if (field === 'opset') header.opset = this.number();
    else if (field === 'ir') header.irVersion = this.number();
    else if (field === 'producer') header.producer = {name: this.word(), version: this.word()};
    else (header.domains as Map<string, number>).set(field, this.number());
  }

  graph(outer: Scope): Graph {
    this.expect('graph');
    const graph = new Graph(this.word());
    this.expect('(');
    this.list(')', () => {
      const name = this.valueName();
      this.expect(':');
      const {dtype, shape} = this.type();
      graph.input(name, dtype, shape);
    });
    this.expect('->');
    this.expect('(');
    const outputs = this.list(')', () => this.valueName());
    const scope = () => (name: string) => graph.value(name) ?? outer.get(name);
    while (this.token.startsWith('%') || this.token === '_') this.statement(graph, scope(), outer);
    graph.outputs = outputs.map((name) => graph.value(name) ?? this.fail(`the output %${name} is not defined`));
    return graph;
  }

  private statement(graph: Graph, find: (name: string) => Value | undefined, outer: Scope): void {
    const outputs: {name: string; type: OutputType | undefined}[] = [];
    do outputs.push(this.output());
    while (this.accept(','));
    this.expect('=');
    if (dtypeOf.has(this.token)) {
      graph.initializer(outputs[0]!.name, this.constant());
      return;
    }
    const operator = this.word();
    this.expect('(');
    const inputs = this.list(')', () => this.operand(find));
    const attributes = this.accept('{') ? this.attributes(graph, operator, outer) : new Map<string, Attribute>();
    const split = operator.lastIndexOf('.');
    const [domain, opType] = [operator.slice(0, Math.max(split, 0)), operator.slice(split + 1)];
    const names = outputs.map((o) => o.name);
    const node = graph.addNode(opType, inputs, attributes, {
      name: names.find((n) => n !== '') ?? opType,
      outputNames: names,
      domain,
      types: outputs.map((o) => o.type),
    });
    const inferred = outputs.every((o) => o.type) ? [] : inferOutputs(node, names.length);
    for (const [i, {type}] of outputs.entries()) if (!type && inferred[i]) Object.assign(node.outputs[i]!, inferred[i]);
  }

  private output(): {name: string; type: OutputType | undefined} {
    if (this.accept('_')) return {name: '', type: undefined};
    const name = this.valueName();
    return {name, type: this.accept(':') ? this.type() : undefined};
  }

  private operand(find: (name: string) => Value | undefined): Value | undefined {
    if (this.accept('_')) return undefined;
    const name = this.valueName();
    return find(name) ?? this.fail(`%${name} is used before it is defined`);
  }

  private type(): {dtype: ValueType; shape: Dims | undefined} {
    const short = this.word();
    const dtype = dtypeOf.get(short) ?? this.fail(`'${short}' is not a type`);
    if (this.accept('?')) return {dtype, shape: undefined};
    this.expect('[');
    return {dtype, shape: this.list(']', () => this.dimension())};
  }

  private dimension(): number | string {
    const isNumber = /^-?\d+$/.test(this.token);
    const word = this.word();
    return isNumber ? Number(word) : word;
  }

  private constant(): Tensor {
    const {dtype, shape} = this.type();
    if (dtype === 'string') return this.fail('text has no constants but the values of a Constant node');
    if (!shape?.every((d) => typeof d === 'number')) return this.fail('a constant has a shape of numbers');
    if (this.accept('{'))
      return constantOf(
        dtype,
        shape as Shape,
        this.list('}', () => this.word()),
      );
    const seed = this.token;
    if (!seed.startsWith('~')) return this.fail(`the numbers of the constant are missing: write {…} or ~seed, not '${seed}'`);
    this.advance();
    return seeded(dtype, shape as Shape, Number(seed.replace(/\D/g, '')), seed[1] === '+');
  }

  private attributes(graph: Graph, opType: string, outer: Scope): Map<string, Attribute> {
    const scope = new Map([...outer, ...[...graph.allValues()].map((v) => [v.name, v] as const)]);
    const entries = this.list('}', () => {
      const name = this.word();
      this.expect('=');
      return [name, this.attribute(ops[opType]?.attributes?.[name], scope)] as const;
    });
    return new Map(entries);
  }

  private attribute(known: Attribute['kind'] | undefined, scope: Scope): Attribute {
    if (this.accept('{')) {
      const graph = this.graph(scope);
      this.expect('}');
      return {kind: 'graph', value: graph};
    }
    if (dtypeOf.has(this.token)) return {kind: 'tensor', value: this.constant()};
    if (this.token.startsWith('"')) return {kind: 'string', value: this.word()};
    if (!this.accept('[')) return numberAttribute(this.word(), known);
    const quoted = this.token.startsWith('"');
    const items = this.list(']', () => this.word());
    if (quoted || known === 'strings') return {kind: 'strings', value: items};
    const kind = known === 'floats' || items.some(isFloat) ? 'floats' : 'ints';
    return {kind, value: items.map(Number)};
  }

  /** Items up to the closing bracket, separated by commas. */
  private list<T>(close: string, item: () => T): T[] {
    const items: T[] = [];
    if (this.accept(close)) return items;
    do items.push(item());
    while (this.accept(','));
    this.expect(close);
    return items;
  }

  /** A word, a number or a quoted string, as text. */
  private word(): string {
    const word = this.token;
    if (!/^["\w.\-/]/.test(word)) this.fail(`a word is expected, not '${word}'`);
    this.advance();
    return word.startsWith('"') ? (JSON.parse(word) as string) : word;
  }

  private number(): number {
    return Number(this.word());
  }

  private valueName(): string {
    const name = this.token;
    if (!name.startsWith('%')) this.fail(`a value such as %x is expected, not '${name}'`);
    this.advance();
    return name[1] === '"' ? (JSON.parse(name.slice(1)) as string) : name.slice(1);
  }

  private accept(token: string): boolean {
    if (this.token !== token) return false;
    this.advance();
    return true;
  }
  private expect(token: string): void {
    if (!this.accept(token)) this.fail(`'${token}' is expected, not '${this.token}'`);
  }
  end(): void {
    if (this.token !== '') this.fail(`'${this.token}' is left over`);
  }

  private advance(): void {
    SPACE.lastIndex = this.position;
    SPACE.exec(this.text);
    TOKEN.lastIndex = this.position = SPACE.lastIndex;
    const match = TOKEN.exec(this.text);
    if (!match && this.position < this.text.length) this.fail('this is not understood');
    this.token = match?.[0] ?? '';
    this.position += this.token.length;
  }

  private fail(problem: string): never {
    const before = this.text.slice(0, this.position).split('\n');
    throw new Error(`line ${before.length}: ${problem}\n  ${this.text.split('\n')[before.length - 1]}`);
  }
}

const isFloat = (word: string): boolean => /[.eIN]/.test(word);
function numberAttribute(word: string, known: Attribute['kind'] | undefined): Attribute {
  return {kind: known === 'float' || isFloat(word) ? 'float' : 'int', value: Number(word)};
}

function constantOf(dtype: DType, shape: Shape, words: readonly string[]): Tensor {
  const all = words.length === 1 ? new Array<string>(elementCount(shape)).fill(words[0]!) : words;
  if (dtype === 'int64') return tensor(dtype, shape, BigInt64Array.from(all, BigInt));
  return fromNumbers(dtype, shape, Float64Array.from(all, Number));
}

function seeded(dtype: DType, shape: Shape, seed: number, positive: boolean): Tensor {
  const stream = random(seed);
  const next = positive ? () => Math.abs(stream.normal()) + 0.1 : () => stream.normal();
  return fromNumbers(dtype, shape, Float64Array.from({length: elementCount(shape)}, next));
}

function fromNumbers(dtype: DType, shape: Shape, numbers: Float64Array): Tensor {
  if (dtype === 'float16') return tensor(dtype, shape, float32ToHalf(numbers) as DataOf<'float16'>);
  if (dtype === 'bfloat16') return tensor(dtype, shape, upperHalves(Float32Array.from(numbers)));
  const array = dtypes[dtype].array as unknown as {from(values: Float64Array): DataOf<DType>};
  return tensor<DType>(dtype, shape, array.from(numbers));
}

/** float32 to bfloat16 by cutting off: the numbers of a test are bfloat16 already. */
const upperHalves = (values: Float32Array) =>
  new Uint16Array(values.buffer, values.byteOffset, 2 * values.length).filter((_, i) => i % 2 === 1);
