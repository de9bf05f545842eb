/** Models that never end or take all memory: the program ends when it is told to, within its limit, and leaves nothing behind. */
import type {ChildProcess} from 'node:child_process';
import {mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {modelBytes} from '../../src/onnx/encode.js';
import {tinyNetwork} from '../eval/networks.js';
import {has, testWith} from '../optional.js';
import {type Ended, ended, gpd, launch} from './disturbed.js';
import {endless, endlessWhenOpened, expanding, foreignModel} from './foreign.js';

let cwd = '';
let temporary = '';
beforeAll(() => {
  cwd = mkdtempSync(join(tmpdir(), 'supervised-'));
  temporary = join(cwd, 'tmp');
  mkdirSync(temporary);
  mkdirSync(join(cwd, 'out'));
  const images = Uint8Array.from({length: 40 * 3073}, (_, i) => (i % 3073 === 0 ? Math.floor(i / 3073) % 10 : i % 251)); // 40 of CIFAR
  writeFileSync(join(cwd, 'test_batch.bin'), images);
  const side = 32;
  const models = {
    plain: foreignModel({side}),
    endless: foreignModel({side, between: endless}),
    opening: foreignModel({side, between: endlessWhenOpened}),
    expanding: foreignModel({side, between: expanding(31)}), // 8 GiB
    tiny: modelBytes(tinyNetwork({side})),
  };
  for (const [name, bytes] of Object.entries(models)) writeFileSync(join(cwd, `${name}.onnx`), bytes);
});
afterAll(() => rmSync(cwd, {recursive: true, force: true}));

const commands: Record<string, string[]> = {
  verify: ['verify', 'plain.onnx', 'endless.onnx'],
  'verify, while the model is opened': ['verify', 'plain.onnx', 'opening.onnx'],
  eval: ['eval', 'endless.onnx', '--data', 'test_batch.bin', '--recipe', 'cifar'],
  export: ['export', 'endless.onnx', '--output', 'out/'],
  bench: ['bench', 'endless.onnx'],
};
const statuses = {SIGINT: 130, SIGTERM: 143, SIGHUP: 129} as const;

const later = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));
/** Processes below one, those that ended and were not waited for not counted. Linux alone. */
function descendants(pid: number): number[] {
  const parents = new Map<number, number>();
  for (const name of readdirSync('/proc').filter((entry) => /^\d+$/.test(entry))) {
    try {
      const [state, parent] = readFileSync(`/proc/${name}/stat`, 'utf8')
        .replace(/^.*\) /s, '')
        .split(' ');
      if (state !== 'Z') parents.set(Number(name), Number(parent));
    } catch {
      // it has ended meanwhile
    }
  }
  const below = (of: number): number[] =>
    [...parents].filter(([, parent]) => parent === of).flatMap(([child]) => [child, ...below(child)]);
  return below(pid);
}
const alive = (pid: number): boolean => {
  try {
    return !/^\S+ \(.*\) Z/s.test(readFileSync(`/proc/${pid}/stat`, 'utf8'));
  } catch {
    return false;
  }
};

/** Processor seconds that a process has used; 0 once it has ended. */
function secondsOf(pid: number): number {
  try {
    const fields = readFileSync(`/proc/${pid}/stat`, 'utf8')
      .replace(/^.*\) /s, '')
      .split(' ');
    return (Number(fields[11]) + Number(fields[12])) / TICKS_A_SECOND; // utime, stime
  } catch {
    return 0;
  }
}
const TICKS_A_SECOND = 100;
/** To start, to read the models and to open them takes less than half of it, on a busy machine too. */
const AT_WORK_SECONDS = 2;

/** The processes below one, as soon as one of them has computed for so long that it is inside the engine. */
async function atWork(child: ChildProcess): Promise<number[]> {
  if (!has('Linux, for its /proc')) {
    await later(6000);
    return [];
  }
  for (;;) {
    const own = descendants(child.pid!);
    if (child.exitCode !== null || own.some((pid) => secondsOf(pid) > AT_WORK_SECONDS)) return own;
    await later(50);
  }
}

/** A signal once the engine is at work; how long it took then, and what still runs. */
async function stopped(args: readonly string[], signal: NodeJS.Signals): Promise<Ended & {ms: number; left: number[]}> {
  const child = launch(args, {cwd, env: {TMPDIR: temporary}});
  const end = ended(child);
  const own = await atWork(child);
  const start = performance.now();
  child.kill(signal);
  const result = await end;
  const ms = performance.now() - start;
  for (let i = 0; i < 20 && own.some(alive); i++) await later(100);
  return {...result, ms, left: own.filter(alive)};
}

describe('a signal ends the program while the engine computes, and nothing is left behind', () => {
  test.each(Object.entries(commands))('%s', async (_, args) => {
    const signals = Object.keys(statuses) as (keyof typeof statuses)[];
    const results = await Promise.all(signals.map((signal) => stopped(args, signal)));
    for (const [i, {code, ms, left}] of results.entries()) {
      expect([signals[i], code, left]).toEqual([signals[i], statuses[signals[i]!], []]);
      expect(ms).toBeLessThan(15_000); // 1.5 s on an idle machine
    }
    expect([readdirSync(join(cwd, 'out')), readdirSync(temporary)]).toEqual([[], []]);
  });
});

describe('Ctrl-C', () => {
  test('that comes before the engine begins is not lost in it', async () => {
    for (const wait of [300, 600, 900, 1200]) {
      const child = launch(commands['verify']!, {cwd});
      const end = ended(child);
      await later(wait);
      child.kill('SIGINT');
      const {code, signal} = await end;
      expect(signal ?? code).toBe(signal ? 'SIGINT' : 130); // before Node has started, the signal itself ends it
    }
  });

  test('verify ends with the verdict on what it has seen', async () => {
    const {code, stdout, stderr} = await stopped(['verify', 'tiny.onnx', 'tiny.onnx', '--samples', '10000000'], 'SIGINT');
    expect([code, stderr]).toEqual([130, expect.stringContaining('finishing what is under way')]);
    expect(stdout).toContain('interrupted');
  });
});

testWith('Linux, for its /proc', 'kill -9 of the supervising process ends the one that computes', async () => {
  for (const args of [commands['verify']!, commands['bench']!]) {
    const child = launch(args, {cwd});
    const end = ended(child);
    const own = await atWork(child);
    expect(own.length).toBeGreaterThan(0);
    child.kill('SIGKILL');
    for (let i = 0; i < 50 && own.some(alive); i++) await later(100);
    expect(own.filter(alive)).toEqual([]);
    await end;
  }
});

describe('memory', () => {
  const limited = (args: readonly string[], limit: string) => gpd([...args, '--memory-limit', limit], {cwd});
  const resident = /ended at (\d+\.?\d*) GiB/;
  test.each(['verify', 'eval', 'export'])('%s ends at the limit, with a reason', async (name) => {
    const args = commands[name]!.map((argument) => argument.replace('endless', 'expanding'));
    const {code, stdout} = await limited([...args, '--json'], '700M');
    const {error} = JSON.parse(stdout);
    expect([code, error.code, error.data.limit]).toEqual([1, 'LIMIT_EXCEEDED', 700 * 2 ** 20]);
    expect(error.data.resident).toBeLessThan(1.5 * 700 * 2 ** 20);
    expect(error.hint).toContain('--memory-limit');
    expect(readdirSync(join(cwd, 'out'))).toEqual([]);
  });

  test('as text, and from the environment', async () => {
    const {code, stdout, stderr} = await gpd(['verify', 'plain.onnx', 'expanding.onnx'], {
      cwd,
      env: {GPD_MEMORY_LIMIT: '700M'},
    });
    expect([code, stdout]).toEqual([1, '']);
    expect(stderr.replace(/\n ›\s+/g, ' ')).toMatch(resident);
    expect(stderr).toContain('Code: LIMIT_EXCEEDED');
  });

  test('a model of the bench fails alone', async () => {
    const {code, stdout} = await limited(
      ['bench', 'expanding.onnx', 'tiny.onnx', '--rounds', '2', '--round-ms', '1', '--json'],
      '700M',
    );
    const {rows, failures} = JSON.parse(stdout);
    expect([code, rows.map((r: {model: string}) => r.model)]).toEqual([1, ['tiny.onnx']]);
    expect(failures).toEqual([expect.objectContaining({model: 'expanding.onnx', reason: expect.stringMatching(resident)})]);
  });

  test('nonsense is bad usage', async () => {
    for (const limit of ['1M', '-1', 'much', '12Q', ''])
      expect([limit, (await limited(commands['verify']!, limit)).code]).toEqual([limit, 2]);
  });
});

test('a supervised command ends as it would alone: status, words, JSON, pipes', async () => {
  expect(await gpd(['verify', 'plain.onnx', 'plain.onnx'], {cwd})).toMatchObject({code: 0, stderr: ''});
  expect((await gpd(['verify', 'plain.onnx', 'tiny.onnx'], {cwd})).code).toBe(1);
  expect((await gpd(['verify', 'plain.onnx'], {cwd})).code).toBe(2);
  expect((await gpd(['verify', 'plain.onnx', 'none.onnx'], {cwd})).stderr).toContain('Code: FILE_UNREADABLE');
  expect((await gpd(['eval', '--help'], {cwd})).stdout).toContain('USAGE');
  const through = ['sh', '-c', '"$@" | head -1; exit 0', 'sh'];
  expect(await gpd(['verify', 'plain.onnx', 'plain.onnx', '--json'], {cwd, through})).toMatchObject({
    stdout: '{\n',
    stderr: '',
  });
});
