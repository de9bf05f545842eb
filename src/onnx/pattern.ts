/**
 * Patterns over a graph, and rules made of them. A pattern describes a piece of a graph backwards from one output; what it
 * binds is part of its type, so a rule that asks for a name that the pattern does not bind does not compile.
 *
 * Matching is a search: where an operator is commutative both orders of its inputs are tried, and `check` takes part, so that
 * an order that `check` refuses is not the last word. Each step hands the rest of the search to `next`. No is an answer with
 * a reason: the `Miss` that is reported is the one of the branch that had matched most.
 *
 * Design after onnxscript's rewriter (pattern, check, rewrite): https://github.com/microsoft/onnxscript/tree/main/onnxscript/rewriter
 */
import type {TensorSource} from '../core/tensor.js';
import {elementCount, toFloat64} from '../core/tensor.js';
import type {Builder} from './builder.js';
import type {Graph, Node, Value} from './graph.js';
import {constantInts} from './ops.js';

/** Why a rule does not apply. `reached` counts what had matched before. */
export class Miss {
  constructor(
    readonly reason: string,
    readonly at?: Node | Value,
    readonly reached = 0,
  ) {}
  toString(): string {
    return this.at ? `${this.reason} (at ${this.at})` : this.reason;
  }
}
export const miss = (reason: string, at?: Node | Value): Miss => new Miss(reason, at);

/** A value that is an initializer. */
export type ConstantValue = Value & {readonly initializer: TensorSource};
export const isConstant = (value: Value | undefined): value is ConstantValue => value?.initializer !== undefined;

/** What has been bound so far. */
export interface Found {
  readonly graph: Graph;
  readonly bindings: Readonly<Record<string, unknown>>;
  readonly reached: number;
}
/** The rest of the search. */
export type Next = (found: Found) => Found | Miss;

/** `B` is what the pattern binds, by name. */
export interface Pattern<B> {
  match(value: Value | undefined, found: Found, next: Next): Found | Miss;
  /** Only for the type; never set. */
  readonly binds?: B;
}
/** A pattern over the output of a node; a rule's pattern starts with one. */
export interface OpPattern<B> extends Pattern<B> {
  readonly opTypes: readonly string[];
}
/** All remaining inputs of a node; the last in a list of patterns. */
export interface RestPattern<B> {
  readonly rest: string;
  readonly binds?: B;
}

// biome-ignore lint/suspicious/noExplicitAny: a list of patterns holds patterns with different bindings
type AnyPattern = Pattern<any> | RestPattern<any>;
type Intersect<U> = (U extends unknown ? (x: U) => void : never) extends (x: infer I) => void ? I : never;
type BindingsOf<Ps extends readonly AnyPattern[]> = Ps extends readonly []
  ? unknown
  : Intersect<{[I in keyof Ps]: Ps[I] extends Pattern<infer B> | RestPattern<infer B> ? B : never}[number]>;

function bind(found: Found, name: string, bound: unknown, at?: Node | Value): Found | Miss {
  if (name in found.bindings && found.bindings[name] !== bound) {
    return new Miss(`'${name}' is bound to ${found.bindings[name]} already`, at, found.reached);
  }
  return {...found, bindings: {...found.bindings, [name]: bound}, reached: found.reached + 1};
}

/** A pattern of one value: `read` gives what to bind, or why not. */
function leaf<N extends string, T>(name: N, read: (value: Value) => T | Miss): Pattern<Record<N, T>> {
  return {
    match(value, found, next) {
      if (!value) return new Miss(`the input for '${name}' is absent`, undefined, found.reached);
      const bound = read(value);
      if (bound instanceof Miss) return new Miss(bound.reason, value, found.reached);
      const extended = bind(found, name, bound, value);
      return extended instanceof Miss ? extended : next(extended);
    },
  };
}

/** Any value. */
export const any = <N extends string>(name: N): Pattern<Record<N, Value>> => leaf(name, (value) => value);

/** An initializer, of any size; its numbers stay where they are. */
export const constant = <N extends string>(name: N): Pattern<Record<N, ConstantValue>> =>
  leaf(name, (value) => (isConstant(value) ? value : miss(`'${name}' is not a constant`)));

/** An initializer with one element, bound as a number. */
export const scalar = <N extends string>(name: N, accept: (n: number) => boolean = () => true): Pattern<Record<N, number>> =>
  leaf(name, (value) => {
    if (!isConstant(value) || elementCount(value.initializer.shape) !== 1) return miss(`'${name}' is not a constant scalar`);
    const [number] = toFloat64(value.initializer.read()).data;
    return accept(number!) ? number! : miss(`'${name}' is ${number}`);
  });

/** A constant list of integers (a shape, axes, pads), bound as numbers. */
export const ints = <N extends string>(name: N): Pattern<Record<N, readonly number[]>> =>
  leaf(name, (value) => constantInts(value) ?? miss(`'${name}' is not a constant list of integers`));

/** What `pattern` binds, or undefined for each name where the input is absent. */
export const optional = <B>(pattern: Pattern<B>): Pattern<{[K in keyof B]: B[K] | undefined}> => ({
  match: (value, found, next) => (value ? pattern.match(value, found, next) : next(found)),
});

/** The first of the patterns that leads to a match. Names that only the others bind are undefined. */
export const either = <A, B>(a: Pattern<A>, b: Pattern<B>): Pattern<Partial<A> & Partial<B>> => ({
  match(value, found, next) {
    const first = a.match(value, found, next);
    return first instanceof Miss ? better(first, () => b.match(value, found, next)) : first;
  },
});

/** All inputs from here on, as a list. */
export const rest = <N extends string>(name: N): RestPattern<Record<N, readonly Value[]>> => ({rest: name});

export interface MatchOptions {
  /** The value is used by one node of the match only, and is not an output of the graph: the rewrite makes it disappear. */
  soleUser?: boolean;
  domain?: string;
  /** Which output of the node, default 0. */
  output?: number;
}

/** https://onnx.ai/onnx/operators/: the binary operators whose inputs may be exchanged. */
const commutative = new Set([
  'Add',
  'Mul',
  'And',
  'Or',
  'Xor',
  'Equal',
  'Max',
  'Min',
  'Sum',
  'Mean',
  'BitwiseAnd',
  'BitwiseOr',
]);

/** A node of one of the types, with its inputs. Inputs that are not listed must be absent. */
export function op<N extends string, const Ps extends readonly AnyPattern[]>(
  opType: string | readonly string[],
  inputs: Ps,
  as: N,
  options: MatchOptions = {},
): OpPattern<BindingsOf<Ps> & Record<N, Node>> {
  const opTypes = typeof opType === 'string' ? [opType] : opType;
  const {domain = ''} = options;
  return {
    opTypes,
    match(value, found, next) {
      const node = value?.producer;
      if (!node) return new Miss(`'${as}' is not made by a node`, value, found.reached);
      if (!opTypes.includes(node.opType) || node.domain !== domain) {
        return new Miss(`${node.opType} is not ${opTypes.join(' or ')}`, node, found.reached);
      }
      const problem = whyNotThisOutput(node, value, found.graph, options);
      if (problem) return new Miss(problem, node, found.reached + 1);
      const extended = bind(found, as, node, node);
      return extended instanceof Miss ? extended : matchInputs(node, inputs, extended, next);
    },
  };
}

function whyNotThisOutput(node: Node, value: Value, graph: Graph, options: MatchOptions): string | undefined {
  const {soleUser = false, output = 0} = options;
  if (node.outputs[output] !== value) return `${value} is not output ${output}`;
  if (!soleUser) return undefined;
  if (graph.outputs.includes(value)) return `${node.opType} output is an output of the graph`;
  return value.users.size > 1 ? `${node.opType} output has ${value.users.size} users` : undefined;
}

function matchInputs(node: Node, patterns: readonly AnyPattern[], found: Found, next: Next): Found | Miss {
  const asWritten = matchList(node, node.inputs, patterns, 0, found, next);
  const exchangeable = commutative.has(node.opType) && patterns.length === 2 && node.inputs.length === 2;
  if (!(asWritten instanceof Miss) || !exchangeable) return asWritten;
  return better(asWritten, () => matchList(node, [...node.inputs].reverse(), patterns, 0, found, next));
}

function matchList(
  node: Node,
  inputs: readonly (Value | undefined)[],
  patterns: readonly AnyPattern[],
  at: number,
  found: Found,
  next: Next,
): Found | Miss {
  const pattern = patterns[at];
  const left = inputs.slice(at);
  if (pattern === undefined) {
    if (left.every((v) => v === undefined)) return next(found);
    return new Miss(`${node.opType} has ${inputs.length} inputs, ${at} are expected`, node, found.reached);
  }
  if ('rest' in pattern) {
    const extended = bind(found, pattern.rest, left, node);
    return extended instanceof Miss ? extended : next(extended);
  }
  return pattern.match(inputs[at], found, (more) => matchList(node, inputs, patterns, at + 1, more, next));
}

/** The other branch if it matches, else the miss that came further; of two equals, the one of the order as written. */
function better(first: Miss, other: () => Found | Miss): Found | Miss {
  const second = other();
  return second instanceof Miss && second.reached <= first.reached ? first : second;
}

export interface Rule {
  readonly name: string;
  /** Types of the node that the match ends in. */
  readonly opTypes: readonly string[];
  /** What replaces the outputs of the node, or why nothing does. */
  apply(node: Node, builder: Builder): readonly (Value | undefined)[] | Miss;
}

export interface RuleDefinition<B> {
  /** Verb and target: `fuse-bn-into-conv`. */
  name: string;
  match: OpPattern<B>;
  check?: (bound: B, graph: Graph) => Miss | undefined;
  /** Builds what replaces the output of the matched node (a list: its outputs). Nothing else is touched: what died is dropped by the runner. */
  rewrite: (bound: B, g: Builder) => Value | readonly (Value | undefined)[] | Miss;
}

export function rule<B>({name, match, check, rewrite}: RuleDefinition<B>): Rule {
  const accept: Next = (found) => {
    const problem = check?.(found.bindings as B, found.graph);
    return problem ? new Miss(problem.reason, problem.at, found.reached + 1) : found;
  };
  return {
    name,
    opTypes: match.opTypes,
    apply(node, builder) {
      const found = match.match(node.output, {graph: builder.graph, bindings: {}, reached: 0}, accept);
      if (found instanceof Miss) return found;
      const result = rewrite(found.bindings as B, builder);
      if (result instanceof Miss) return new Miss(result.reason, result.at, found.reached + 2);
      return Array.isArray(result) ? result : [result as Value];
    },
  };
}
