/** The loop: make an input or change one that is known, judge it, and keep it if it reached something that none before it did. */
import {type Random, random} from '../src/core/random.js';
import type {Coverage} from './coverage.js';
import {chance, pick} from './dice.js';
import {mutate} from './mutate.js';
import {judge} from './oracle.js';
import type {Reader} from './reader.js';

export interface Violation {
  readonly bytes: Uint8Array;
  readonly signature: string;
  readonly problem: string;
}

export interface FuzzReport {
  readonly inputs: number;
  readonly refused: number;
  readonly seconds: number;
  /** How many different things happened: kinds of results, and checks that refused. */
  readonly outcomes: number;
  readonly violations: readonly Violation[];
  /** What reached something new, in the order of discovery. */
  readonly discoveries: readonly Uint8Array[];
}

export interface FuzzOptions {
  readonly count: number;
  readonly seed: number;
  readonly corpus?: readonly Uint8Array[];
  readonly coverage?: Coverage;
  readonly onProgress?: (inputs: number, corpus: number, violations: number) => void;
}

/** A batch that discovers nothing is followed by one of twice the size: late in a run there is little left to look for. */
const SMALLEST_BATCH = 128;
const LARGEST_BATCH = 4096;
/** One violation of a kind is enough. */
const MAX_VIOLATIONS = 20;

export async function fuzz(reader: Reader, options: FuzzOptions): Promise<FuzzReport> {
  const run = new Run(reader, options);
  const start = performance.now();
  await run.replay(options.corpus ?? []);
  while (run.inputs < options.count && run.violations.size < MAX_VIOLATIONS) await run.batch();
  const {inputs, refused, violations, discoveries} = run;
  const seconds = (performance.now() - start) / 1000;
  return {inputs, refused, seconds, outcomes: run.outcomes, violations: [...violations.values()], discoveries};
}

class Run {
  inputs = 0;
  refused = 0;
  readonly violations = new Map<string, Violation>();
  readonly discoveries: Uint8Array[] = [];
  private readonly dice: Random;
  private readonly corpus: Uint8Array[] = [];
  private readonly signatures = new Set<string>();
  /** Inputs of the batch under way that no new signature has taken into the corpus yet. */
  private waiting: Uint8Array[] = [];
  private size = SMALLEST_BATCH;

  constructor(
    private readonly reader: Reader,
    private readonly options: FuzzOptions,
  ) {
    this.dice = random(`${reader.name} ${options.seed}`);
  }

  get outcomes(): number {
    return this.signatures.size;
  }

  async replay(inputs: readonly Uint8Array[]): Promise<void> {
    for (const bytes of inputs) {
      await this.judge(bytes);
      this.corpus.push(bytes);
    }
    const {coverage} = this.options;
    coverage?.keep(coverage.fresh());
    this.waiting = [];
    this.discoveries.length = 0;
  }

  async batch(): Promise<void> {
    const known = this.corpus.length;
    const size = Math.min(this.size, this.options.count - this.inputs);
    for (let i = 0; i < size; i++) await this.judge(this.next());
    await this.attribute(this.waiting, known);
    this.waiting = [];
    this.size = this.corpus.length > known ? SMALLEST_BATCH : Math.min(2 * this.size, LARGEST_BATCH);
    this.options.onProgress?.(this.inputs, this.corpus.length, this.violations.size);
  }

  private next(): Uint8Array {
    const {reader, dice, corpus} = this;
    const isFresh = corpus.length === 0 || chance(dice, 0.5);
    const made = isFresh ? reader.generate(dice, pick(dice, [0, 1, 1, 1, 2, 3])) : pick(dice, corpus);
    if (isFresh && chance(dice, 0.7)) return made;
    const mutated = mutate(made, dice, corpus.length > 0 ? pick(dice, corpus) : made);
    return reader.repair && chance(dice, 0.8) ? reader.repair(mutated) : mutated;
  }

  private async judge(bytes: Uint8Array): Promise<void> {
    const {signature, violation} = await judge(this.reader, bytes);
    this.inputs++;
    if (!signature.startsWith('read')) this.refused++;
    if (violation && !this.violations.has(signature)) this.violations.set(signature, {bytes, signature, problem: violation});
    if (this.signatures.has(signature)) this.waiting.push(bytes);
    else {
      this.signatures.add(signature);
      this.discover(bytes);
    }
  }

  private discover(bytes: Uint8Array): void {
    this.corpus.push(bytes);
    this.discoveries.push(bytes);
  }

  /** Where the batch ran code that never ran before: the inputs that did, by halving. `known`: the corpus before the batch. */
  private async attribute(inputs: readonly Uint8Array[], known: number): Promise<void> {
    const {coverage} = this.options;
    const reached = coverage?.fresh();
    if (!coverage || !reached || reached.size === 0) return;
    for (const bytes of this.corpus.slice(known)) await judge(this.reader, bytes); // what new outcomes alone explain
    coverage.keep(coverage.fresh());
    if ([...reached].some((block) => !coverage.has(block))) await this.search(inputs, coverage);
  }

  private async search(inputs: readonly Uint8Array[], coverage: Coverage): Promise<void> {
    for (const bytes of inputs) await judge(this.reader, bytes);
    const blocks = coverage.fresh();
    if (blocks.size === 0) return;
    if (inputs.length === 1) {
      coverage.keep(blocks);
      this.discover(inputs[0]!);
      return;
    }
    const middle = inputs.length >> 1;
    await this.search(inputs.slice(0, middle), coverage);
    await this.search(inputs.slice(middle), coverage);
  }
}
