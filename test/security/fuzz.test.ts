/** The fuzzers' short run: everything that ever reached something new, and some new inputs. The long run is `npm run fuzz`. */
import {spawnSync} from 'node:child_process';
import {writeFileSync} from 'node:fs';
import {join} from 'node:path';
import {loadCorpus} from '../../fuzz/corpus.js';
import {fuzz} from '../../fuzz/loop.js';
import {judge} from '../../fuzz/oracle.js';
import type {Reader} from '../../fuzz/reader.js';
import {readers} from '../../fuzz/readers/index.js';
import {withoutEffects} from '../../fuzz/sandbox.js';
import {GpdError} from '../../src/core/error.js';

const CORPUS = join(__dirname, '../../fuzz/corpus');
/** sharp decodes a thousand images a second, and a block of bzip2 takes as long; the others read ten times as many. */
const counts: Readonly<Record<string, number>> = {image: 200, bzip2: 100, set: 300, parquet: 300};

beforeAll(() => Promise.all(readers.map((reader) => reader.prepare?.())));

test.each(readers.map((reader) => [reader.name, reader] as const))(
  '%s: the corpus, and inputs of this seed',
  async (name, reader) => {
    const corpus = loadCorpus(CORPUS, name);
    expect(corpus.length).toBeGreaterThan(5);
    const {violations} = await withoutEffects(() =>
      fuzz(reader, {count: corpus.length + (counts[name] ?? 1000), seed: 7, corpus}),
    );
    expect(violations.map(({problem, bytes}) => `${problem} ${Buffer.from(bytes).toString('base64')}`)).toEqual([]);
  },
);

test.each(readers.map((reader) => [reader.name, reader] as const))(
  '%s: what is generated without lies is often read',
  async (_, reader) => {
    const dice = (await import('../../src/core/random.js')).random('honest');
    let read = 0;
    for (let i = 0; i < 40; i++) if ((await judge(reader, reader.generate(dice, 0))).signature.startsWith('read')) read++;
    expect(read).toBeGreaterThan(7);
  },
);

describe('the oracle notices', () => {
  /** With patience, so that a busy machine is not what is noticed. */
  const broken = (read: () => string, maxMs = 60_000): Reader => ({
    name: 'broken',
    generate: () => new Uint8Array(8),
    read,
    maxMs,
  });
  const violation = async (read: () => string, maxMs?: number) =>
    (await withoutEffects(() => fuzz(broken(read, maxMs), {count: 1, seed: 1}))).violations[0]?.problem;

  test.each<[string, () => string, RegExp]>([
    ['another error', () => [].at(0)!['x'], /TypeError/],
    ['an impossible length', () => String(new Uint8Array(-1)), /RangeError/],
    ['a stack that overflows', () => broken(() => '').read(new Uint8Array(0)) + recurse(), /RangeError/],
    ['memory', () => (kept.push(new Uint8Array(64 << 20).fill(1)) > 0 ? 'x' : ''), /heap grow/],
    ['another process', () => String(spawnSync('true')), /child_process.spawnSync/],
    ['a written file', () => String(writeFileSync('never', '')), /fs.writeFileSync/],
    // biome-ignore lint/security/noGlobalEval: that is what must be noticed
    ['code from text', () => String(globalThis.eval('1')), /eval/],
    [
      'an error without a hint',
      () => {
        throw new GpdError('CHECKPOINT_CORRUPT', 'bad');
      },
      /no hint/,
    ],
  ])('%s', async (_, read, problem) => expect(await violation(read)).toMatch(problem));

  const kept: Uint8Array[] = [];
  const recurse = (): string => `${recurse()} `;
  const wait = (ms: number) => {
    const end = performance.now() + ms;
    while (performance.now() < end);
    return 'late';
  };

  test('a wait', async () => expect(await violation(() => wait(40), 20)).toMatch(/took \d+ ms/));
  test('nothing where nothing is wrong', async () => expect(await violation(() => 'fine')).toBeUndefined());
});
