/**
 * Which value of one model is which of another, whatever exporters call them. Rules, the surest first: the same numbers; the same name, or
 * path of the module; the same operator on values that belong together; the same kernel; correlation. Each pair says by which it was found.
 */
import type {Value} from '../../onnx/graph.js';
import {alignByCorrelation} from './align.js';
import {
  correlationBetween,
  distanceBetween,
  type Fingerprint,
  layoutsBetween,
  type ValueLayout,
  varies,
} from './fingerprint.js';
import {kernelOf, type LayerKernel, likeness, SAME_KERNEL} from './kernels.js';
import type {LayerValue} from './layer-values.js';
import {withoutWrappers, wrappersOf} from './module-paths.js';

/**
 * name: both files call it so; module: by the path of its module; values: by its numbers alone; inputs: the same operator on values that
 * belong together; weights: by its kernel; correlation: by shape and correlation, in the order of computation.
 */
export type MatchMethod = 'name' | 'module' | 'values' | 'inputs' | 'weights' | 'correlation';

/** A value that was run, and what samples tell of it. */
export interface Sampled extends LayerValue {
  /** Undefined where its numbers do not lie image by image. */
  readonly print: Fingerprint | undefined;
}

/** Two values that are the same layer's. */
export interface MatchedPair {
  readonly reference: Sampled;
  readonly actual: Sampled;
  readonly method: MatchMethod;
  /** Undefined: the shapes differ. */
  readonly layout: ValueLayout | undefined;
}

/** The pairs in the order in which the model under test computes them. */
export function matchLayers(reference: readonly Sampled[], actual: readonly Sampled[], bound: number): MatchedPair[] {
  const matcher = new Matcher(reference, actual, bound);
  matcher.byValues();
  matcher.byNames();
  matcher.byInputs();
  matcher.byWeights();
  matcher.byInputs();
  matcher.byCorrelation();
  return matcher.result();
}

class Matcher {
  private readonly partner = new Map<Sampled, MatchedPair>();
  private readonly taken = new Set<Sampled>();
  private readonly kernels = new Map<Sampled, LayerKernel | undefined>();
  private readonly ofValue: Map<Value, Sampled>;
  private readonly pathsA: ReadonlyMap<string, Sampled[]>;
  private readonly wrapperB: number;

  constructor(
    private readonly a: readonly Sampled[],
    private readonly b: readonly Sampled[],
    private readonly bound: number,
  ) {
    this.ofValue = new Map([...a, ...b].map((own) => [own.value, own]));
    const first = (all: readonly Sampled[]) => all.filter(isWeighted).flatMap(({paths}) => paths.slice(0, 1));
    const [wrapperA, wrapperB] = wrappersOf(first(a), first(b));
    this.wrapperB = wrapperB;
    const paths = new Map<string, Sampled[]>();
    for (const own of a.filter(isWeighted))
      for (const path of own.paths) {
        const plain = withoutWrappers(path, wrapperA);
        paths.set(plain, [...(paths.get(plain) ?? []), own]);
      }
    this.pathsA = paths;
  }

  result(): MatchedPair[] {
    return [...this.partner.values()].sort((p, q) => p.actual.place - q.actual.place);
  }

  private pair(reference: Sampled, actual: Sampled, method: MatchMethod, layout = this.bestLayout(reference, actual)): void {
    this.taken.add(reference);
    this.partner.set(actual, {reference, actual, method, layout});
  }

  private get freeA(): Sampled[] {
    return this.a.filter((own) => !this.taken.has(own));
  }
  private get freeB(): Sampled[] {
    return this.b.filter((own) => !this.partner.has(own));
  }

  private bestLayout(x: Sampled, y: Sampled): ValueLayout | undefined {
    if (!x.print || !y.print) return undefined;
    const [p, q] = [x.print, y.print];
    const possible = layoutsBetween(p, q);
    if (possible.length < 2) return possible[0];
    const score = (layout: ValueLayout) => correlationBetween(p, q, layout);
    return possible.reduce((best, layout) => (score(layout) > score(best) + 1e-6 ? layout : best));
  }

  private isSameName(x: Sampled, y: Sampled): boolean {
    return y.named && x.value.name === y.value.name;
  }
  private isSameModule(x: Sampled, y: Sampled): boolean {
    return isWeighted(x) && isWeighted(y) && this.byPath(y).includes(x);
  }
  /** Those of the reference under a path of the value, the path of the weights first. */
  private byPath({paths}: Sampled): Sampled[] {
    for (const path of paths) {
      const found = this.pathsA.get(withoutWrappers(path, this.wrapperB)) ?? [];
      if (found.length > 0) return found;
    }
    return [];
  }
  private nameMethod(x: Sampled, y: Sampled): MatchMethod | undefined {
    return this.isSameName(x, y) ? 'name' : this.isSameModule(x, y) ? 'module' : undefined;
  }

  /** Thousands of numbers that agree are the same value. Of several, the one with the name, then the role, then the nearest. */
  byValues(): void {
    const bySize = new Map<number, Sampled[]>();
    for (const own of this.a)
      if (own.print && varies(own.print)) bySize.set(own.print.size, [...(bySize.get(own.print.size) ?? []), own]);
    for (const own of this.b) {
      if (!own.print || !varies(own.print)) continue;
      const equal = (bySize.get(own.print.size) ?? []).flatMap((other) => this.equalIn(other, own));
      const score = ({other}: (typeof equal)[number]): number =>
        (this.isSameName(other, own) ? 4 : 0) + (this.isSameModule(other, own) ? 2 : 0) + (other.role === own.role ? 1 : 0);
      const [best] = equal.sort((p, q) => score(q) - score(p) || p.other.place - q.other.place);
      if (!best || (own.moves && !this.isSameName(best.other, own))) continue;
      this.pair(best.other, own, this.nameMethod(best.other, own) ?? 'values', best.layout);
    }
  }
  private equalIn(other: Sampled, own: Sampled): {other: Sampled; layout: ValueLayout}[] {
    if (this.taken.has(other) || (other.moves && !this.isSameName(other, own))) return [];
    const [p, q] = [other.print!, own.print!];
    const layout = layoutsBetween(p, q).find((l) => distanceBetween(p, q, l, this.bound) <= this.bound);
    return layout === undefined ? [] : [{other, layout}];
  }

  byNames(): void {
    const named = new Map(this.freeA.filter(({named}) => named).map((own) => [own.value.name, own]));
    for (const own of this.freeB) {
      const other = own.named ? named.get(own.value.name) : undefined;
      if (other && !this.taken.has(other) && other.role === own.role) this.pair(other, own, 'name');
    }
    for (const own of this.freeB.filter(isWeighted)) {
      const other = this.byPath(own).find((x) => !this.taken.has(x) && x.role === own.role);
      if (other) this.pair(other, own, 'module');
    }
  }

  /** To the end: each pair may make the next one known. */
  byInputs(): void {
    for (const own of this.freeB) {
      if (own.moves) continue;
      const sources = this.partnersOf(own);
      if (!sources) continue;
      const options = this.freeA.filter((x) => !x.moves && x.role === own.role && hasSources(x, sources));
      const rivals = this.freeB.filter((y) => !y.moves && y.role === own.role && hasSources(y, own.sources));
      const other = this.mostLike(own, options, rivals.length);
      if (other) this.pair(other, own, 'inputs');
    }
  }
  /** The values of the reference that belong to what a value is computed from. */
  private partnersOf({sources}: Sampled): Value[] | undefined {
    const partners = sources.map((v) => {
      const own = this.ofValue.get(v);
      return own ? this.partner.get(own)?.reference.value : v.producer ? undefined : this.inputA;
    });
    return partners.length > 0 && partners.every((v) => v !== undefined) ? (partners as Value[]) : undefined;
  }
  /** The image itself. */
  private get inputA(): Value | undefined {
    return this.a.flatMap(({sources}) => sources).find((v) => !v.producer);
  }

  /** One alone, where it is the only one on both sides; else by kernel or numbers, if those tell. */
  private mostLike(own: Sampled, options: readonly Sampled[], rivals: number): Sampled | undefined {
    if (options.length === 1 && rivals === 1) return options[0];
    const alike = options
      .map((x) => ({x, like: this.likenessOf(x, own), r: this.correlationOf(x, own)}))
      .sort((p, q) => q.like - p.like || q.r - p.r);
    const [first, second] = alike;
    if (!first) return undefined;
    if (first.like >= SAME_KERNEL && !(second && second.like >= SAME_KERNEL)) return first.x;
    return first.r >= MIN_CORRELATION && !(second && second.r > first.r - CLEAR_LEAD) ? first.x : undefined;
  }
  private likenessOf(x: Sampled, y: Sampled): number {
    if (!x.chain || !y.chain) return 0;
    const [p, q] = [this.kernel(x), this.kernel(y)];
    return p && q ? likeness(p, q) : 0;
  }
  private kernel(own: Sampled): LayerKernel | undefined {
    if (!this.kernels.has(own)) this.kernels.set(own, kernelOf(own));
    return this.kernels.get(own);
  }
  private correlationOf(x: Sampled, y: Sampled): number {
    const layout = this.bestLayout(x, y);
    return layout === undefined ? Number.NEGATIVE_INFINITY : correlationBetween(x.print!, y.print!, layout);
  }

  /** Kernels that no other layer has. */
  byWeights(): void {
    const chains = (all: readonly Sampled[]) => all.filter(({chain, role}) => chain && role === 'linear');
    const options = chains(this.freeA);
    for (const own of chains(this.freeB)) {
      const same = options.filter((x) => !this.taken.has(x) && this.likenessOf(x, own) >= SAME_KERNEL);
      if (same.length === 1) this.pair(same[0]!, own, 'weights');
    }
    this.kernels.clear();
  }

  byCorrelation(): void {
    const still = (all: readonly Sampled[]) => all.filter(({moves, print}) => !moves && print !== undefined);
    const [a, b] = [still(this.freeA), still(this.freeB)];
    const score = (x: Sampled, y: Sampled) => (x.role === y.role ? Math.abs(this.correlationOf(x, y)) : 0);
    for (const [x, y] of alignByCorrelation(a, b, score, MIN_CORRELATION)) this.pair(x, y, 'correlation');
  }
}

/** Between values of 256 samples, chance gives less than 0.25. */
const MIN_CORRELATION = 0.5;
const CLEAR_LEAD = 0.1;

const isWeighted = ({role, paths, chain}: Sampled): boolean => paths.length > 0 && (chain !== undefined || /Norm/.test(role));
const hasSources = ({sources}: Sampled, wanted: readonly Value[]): boolean =>
  sources.length === wanted.length && sources.every((v) => wanted.includes(v));
