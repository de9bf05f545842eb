/**
 * Runs rules over a graph until none applies: sweep after sweep in topological order, each node against the rules that end in
 * its type, in the order of the list. What a rule returns takes the place and the name of what it replaces.
 */
import {trace} from '../core/debug.js';
import {Builder} from './builder.js';
import type {Graph, Node, Value} from './graph.js';
import {Miss, type Rule} from './pattern.js';

export interface RuleStatistics {
  /** Nodes that the rule was tried on. */
  attempts: number;
  hits: number;
  /** The miss that came furthest in the pattern. */
  nearest?: Miss;
}

export interface RewriteResult {
  /** Number of rewrites. */
  changes: number;
  rules: ReadonlyMap<string, RuleStatistics>;
}

/** Each node may be rewritten this often on average before we call it an endless loop: real rule sets stay below 2. */
const MAX_REWRITES_PER_NODE = 20;

export function applyRules(graph: Graph, rules: readonly Rule[]): RewriteResult {
  const statistics = new Map<string, RuleStatistics>(rules.map((r) => [r.name, {attempts: 0, hits: 0}]));
  const limit = MAX_REWRITES_PER_NODE * (graph.nodes.length + 10);
  const byType = indexByType(rules);
  let changes = 0;
  for (let before = -1; before !== changes; ) {
    before = changes;
    for (const node of [...graph.nodes]) {
      const applied = byType.get(node.opType)?.find((r) => tryRule(graph, node, r, statistics.get(r.name)!));
      if (applied && ++changes > limit) {
        throw new Error(`the rules do not come to an end: ${changes} rewrites, '${applied.name}' still applies to ${node}`);
      }
    }
    if (changes > before) graph.prune();
  }
  for (const [name, s] of statistics) trace('match', () => describeRule(name, s));
  return {changes, rules: statistics};
}

function indexByType(rules: readonly Rule[]): Map<string, Rule[]> {
  const index = new Map<string, Rule[]>();
  for (const r of rules) for (const opType of r.opTypes) index.set(opType, [...(index.get(opType) ?? []), r]);
  return index;
}

function tryRule(graph: Graph, node: Node, rule: Rule, statistics: RuleStatistics): boolean {
  if (isDead(graph, node)) return false;
  statistics.attempts++;
  const builder = new Builder(graph, node);
  const replacements = rule.apply(node, builder);
  const problem = replacements instanceof Miss ? replacements : substitute(graph, node, replacements, builder);
  if (!problem) statistics.hits++;
  else if (!statistics.nearest || problem.reached > statistics.nearest.reached) statistics.nearest = problem;
  return !problem;
}

const isOutput = (graph: Graph, value: Value): boolean => graph.outputs.includes(value);
const isDead = (graph: Graph, node: Node): boolean =>
  node.outputs.every((value) => value.users.size === 0 && !isOutput(graph, value));

/** Puts the replacements in the place of the outputs of `node`. All or nothing. */
function substitute(
  graph: Graph,
  node: Node,
  replacements: readonly (Value | undefined)[],
  builder: Builder,
): Miss | undefined {
  const pairs = node.outputs.map((previous, i) => [previous, replacements[i]] as const);
  for (const [previous, value] of pairs) {
    const problem = whyNotReplaceable(graph, previous, value);
    if (problem) return new Miss(problem, node, Number.MAX_SAFE_INTEGER);
  }
  for (const [previous, value] of pairs) if (value) replace(graph, previous, value, builder);
  return undefined;
}

/** The outputs of a graph keep their names, and inputs keep theirs: an output cannot become an input, or another output. */
function whyNotReplaceable(graph: Graph, previous: Value, value: Value | undefined): string | undefined {
  if (!isOutput(graph, previous)) {
    return value || previous.users.size === 0 ? undefined : `the rule gives nothing for ${previous}, which is used`;
  }
  if (!value) return `the rule gives nothing for the graph output ${previous}`;
  if (graph.inputs.includes(value)) return `the graph output ${previous} would become the graph input ${value}`;
  return isOutput(graph, value) ? `the graph outputs ${previous} and ${value} would become one` : undefined;
}

/** A value that the rule made takes over the name, so that a layer stays known by it; so does any that becomes a graph output. */
function replace(graph: Graph, previous: Value, value: Value, builder: Builder): void {
  const isNew = value.users.size === 0 && !isOutput(graph, value);
  const takesName = isNew || isOutput(graph, previous);
  graph.replaceUses(previous, value);
  value.shape ??= previous.shape;
  if (!takesName) return;
  graph.takeName(value, previous);
  const {producer} = value;
  if (producer && previous.producer && builder.unnamed.has(producer)) graph.takeNodeName(producer, previous.producer);
}

function describeRule(name: string, {attempts, hits, nearest}: RuleStatistics): string {
  return `${name}: ${hits} of ${attempts}${nearest ? `; nearest miss: ${nearest}` : ''}`;
}
