/**
 * Run folders of strangers. Whatever lies in one under the names that a run writes: `--resume` goes on, or refuses with a documented
 * code. It does not hang, follows no link out of the folder and changes nothing there.
 */
import {execFileSync} from 'node:child_process';
import {
  appendFileSync,
  existsSync,
  linkSync,
  mkdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import {join} from 'node:path';
import {saverLayout, writeTorch} from '../../src/checkpoint/write-torch.js';
import {fileSource} from '../../src/core/bytes.js';
import {random} from '../../src/core/random.js';
import {parseJson, SchemaError} from '../../src/core/schema.js';
import {sourceOf} from '../../src/core/tensor.js';
import {readCheckpoint} from '../../src/train/run/checkpoint.js';
import {type Position, savedPosition, whyNotPosition} from '../../src/train/run/position.js';
import type {NamedTensors} from '../../src/train/step/parameters/named-tensors.js';
import {encodeOptimizer} from '../../src/train/step/parameters/optimizer-state.js';
import {SmallFolder} from './small-folder.js';

const small = new SmallFolder();
const {inTried, honest} = small;
const victim = join(small.folder, 'victim.txt');
const snapshot = join(small.folder, 'snapshot.txt');
beforeAll(() => small.begin());
afterAll(small.remove);

function fresh(): void {
  small.fresh();
  writeFileSync(victim, 'victim\n');
}

const replaced = (name: string, make: (path: string) => void) => () => {
  rmSync(inTried(name), {recursive: true, force: true});
  make(inTried(name));
};
const fifo = (path: string): void => void execFileSync('mkfifo', [path]);
const toVictim = (path: string) => symlinkSync(victim, path);
const toZeros = (path: string) => symlinkSync('/dev/zero', path);
const aFolder = (path: string) => mkdirSync(join(path, 'inside'), {recursive: true});
const holding = (content: string) => (path: string) => writeFileSync(path, content);
const names = ['log.txt', 'metrics.jsonl', 'strategies.json', 'last.pth.tar', 'step.pth.tar', 'unreadable.jsonl', 'run.lock'];
const kinds = {'a FIFO': fifo, 'a link to a file outside': toVictim, 'a link to /dev/zero': toZeros, 'a folder': aFolder};

describe.each(names)('%s', (name) => {
  test.each(Object.keys(kinds) as (keyof typeof kinds)[])('is %s', async (kind) => {
    fresh();
    replaced(name, kinds[kind])();
    expect(await small.outcome()).toMatch(/^(FILE_UNREADABLE|OUTPUT_REFUSED)$/);
    expect(readFileSync(victim, 'utf8')).toBe('victim\n');
  });
});

test.each<[string, () => void, string]>([
  ['config.yaml is a link', replaced('config.yaml', toVictim), 'goes on'],
  ['checkpoint-7.pth.tar is a folder', () => aFolder(inTried('checkpoint-7.pth.tar')), 'goes on'],
  ['checkpoint-1.pth.tar is a folder', replaced('checkpoint-1.pth.tar', aFolder), 'OUTPUT_REFUSED'],
  ['checkpoint-1.pth.tar is a link', replaced('checkpoint-1.pth.tar', toVictim), 'goes on'],
  ['best.pth.tar is a link', replaced('best.pth.tar', toVictim), 'goes on'],
  ['strategies.json is cut', replaced('strategies.json', holding('{"a":')), 'STATE_MISMATCH'],
  ['strategies.json is null', replaced('strategies.json', holding('null')), 'STATE_MISMATCH'],
  ['strategies.json is a list', replaced('strategies.json', holding('[1, {"__proto__": {"x": 1}}]')), 'STATE_MISMATCH'],
  ['strategies.json has numbers', replaced('strategies.json', holding('{"a": 1}')), 'STATE_MISMATCH'],
  ['strategies.json has other names', replaced('strategies.json', holding('{"a": "toString", "__proto__": "b"}')), 'goes on'],
  [
    'metrics.jsonl has other lines',
    () => appendFileSync(inTried('metrics.jsonl'), 'null\n5\n"s"\n{"kind":"step","steps":"x"}\n{"__proto__":{"a":1}}\n{cut'),
    'goes on',
  ],
  ['metrics.jsonl is binary', () => appendFileSync(inTried('metrics.jsonl'), Buffer.from([0xff, 0xfe, 0, 10, 0])), 'goes on'],
  ['metrics.jsonl is larger than any', () => truncateSync(inTried('metrics.jsonl'), 2 ** 33), 'LIMIT_EXCEEDED'],
  ['strategies.json is larger than any', () => truncateSync(inTried('strategies.json'), 2 ** 33), 'LIMIT_EXCEEDED'],
])('%s', async (_, change, expected) => {
  fresh();
  change();
  expect(await small.outcome()).toBe(expected);
  expect(readFileSync(victim, 'utf8')).toBe('victim\n');
});

test('lines of metrics.jsonl that are no rows are left out, which the log says', async () => {
  fresh();
  appendFileSync(inTried('metrics.jsonl'), 'null\n[]\n');
  expect(await small.outcome()).toBe('goes on');
  expect(readFileSync(inTried('metrics.jsonl'), 'utf8')).toBe(readFileSync(join(honest, 'metrics.jsonl'), 'utf8'));
  expect(readFileSync(inTried('log.txt'), 'utf8')).toContain(
    'metrics.jsonl: lines left out, for they are no rows of numbers: 2',
  );
});

test('a log with a second name, as copies by hard links have it, gets a file of its own', async () => {
  fresh();
  linkSync(inTried('log.txt'), snapshot);
  const before = readFileSync(snapshot, 'utf8');
  expect(await small.outcome()).toBe('goes on');
  expect(readFileSync(snapshot, 'utf8')).toBe(before);
  expect(readFileSync(inTried('log.txt'), 'utf8').startsWith(before)).toBe(true);
});

/** last.pth.tar with another text for its position. */
function withPosition(text: string): void {
  const path = inTried('last.pth.tar');
  const {state} = readCheckpoint(fileSource(join(honest, 'last.pth.tar')), small.start.initial.state, small.start.config);
  const dict = (tensors: NamedTensors) => new Map([...tensors].map(([key, t]) => [key, sourceOf(t)]));
  const pieces: Uint8Array[] = [];
  writeTorch(
    saverLayout({
      ...{epoch: 1, arch: 'resnet18', stateDict: dict(state.model), args: new Map(), stateDictEma: dict(state.ema!)},
      optimizer: encodeOptimizer(state.optimizer!, state.model, small.start.config, 0.1),
      more: new Map([['gpd_position', text]]),
    }),
    (bytes) => pieces.push(bytes.slice()),
  );
  writeFileSync(path, Buffer.concat(pieces));
}

describe('the position in a checkpoint', () => {
  let saved: Position;
  beforeAll(() => {
    const {position} = readCheckpoint(fileSource(join(honest, 'last.pth.tar')), small.start.initial.state, small.start.config);
    saved = position!;
  });

  test.each(['{cut', 'null', '[]', '"s"', '{}', '5', '', `${'['.repeat(100_000)}${']'.repeat(100_000)}`])(
    '%.20s',
    async (text) => {
      fresh();
      withPosition(text);
      expect(await small.outcome()).toBe('CHECKPOINT_CORRUPT');
    },
  );

  /** Every place in a JSON value, from the outside in. */
  function* placesOf(value: unknown, at: readonly string[] = []): Generator<readonly string[]> {
    if (at.length > 0) yield at;
    if (typeof value === 'object' && value !== null)
      for (const [key, own] of Object.entries(value)) yield* placesOf(own, [...at, key]);
  }
  const changes: Readonly<Record<string, unknown>> = {
    absent: undefined,
    null: null,
    text: '../../x<img src=x>',
    one: 1,
    number: 1e308,
    negative: -3,
    fraction: 0.5,
    list: [],
    object: {},
    nested: [[null]],
    true: true,
  };
  function changed(at: readonly string[], value: unknown): string {
    const copy = JSON.parse(JSON.stringify(saved));
    const parent = at.slice(0, -1).reduce((node, key) => node[key], copy);
    parent[at.at(-1)!] = value;
    return JSON.stringify(copy);
  }

  const mutants = () =>
    [...placesOf(saved)].flatMap((at) => Object.entries(changes).map(([name, value]) => ({at, name, value})));

  test('every field, absent or of another kind: a position, or said to be none', () => {
    expect(mutants().length).toBeGreaterThan(400);
    let refused = 0;
    for (const {at, value} of mutants()) {
      try {
        whyNotPosition(parseJson(changed(at, value), savedPosition), 2);
      } catch (error) {
        if (!(error instanceof SchemaError)) throw error;
        expect(error.message).not.toMatch(/undefined|\[object/);
        refused++;
      }
    }
    expect(refused).toBeGreaterThan(300);
  });

  test('the run with such a field goes on, or is refused with a documented code', async () => {
    const r = random('fields');
    const outcomes = new Set<string>();
    for (const {at, name, value} of mutants().filter((mutant) => mutant.at.length === 1 || r.uniform() < 0.02)) {
      fresh();
      withPosition(changed(at, value));
      const isShort = at.length === 1 && ['kept', 'best', 'sums'].includes(at[0]!);
      const found = await small.outcome(isShort ? {epochs: '3'} : {}).catch((error: Error) => {
        throw new Error(`${at.join('.')} ${name}: ${error.stack}`);
      });
      outcomes.add(found);
    }
    expect([...outcomes].sort()).toEqual(['CHECKPOINT_CORRUPT', 'CONFIG_INVALID', 'STATE_MISMATCH', 'goes on']);
    expect(existsSync(join(small.folder, 'x'))).toBe(false);
  });
});
