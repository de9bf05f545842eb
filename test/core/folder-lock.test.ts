/** Who may write to a folder: one at a time, and nobody who is dead. */
import {spawn, spawnSync} from 'node:child_process';
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {FolderLock, type Holder} from '../../src/core/folder-lock.js';
import {beat, beatText} from '../../src/core/heartbeat.js';
import {ownIdentity, type ProcessIdentity} from '../../src/core/process-identity.js';
import {testWith} from '../optional.js';

let folder: string;
let path: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'gpd-lock-'));
  path = join(folder, 'run.lock');
});
afterEach(() => rmSync(folder, {recursive: true, force: true}));

const quick = {doing: 'working there', everyMs: 40, deadAfterMs: 500};
const take = (options: Partial<Parameters<typeof FolderLock.take>[1]> = {}) => FolderLock.take(path, {...quick, ...options});
const lineOf = (identity: Partial<ProcessIdentity>, more: Partial<Holder> = {}) =>
  `${JSON.stringify({...ownIdentity(), token: 'other', since: '2026-01-02T03:04:05.000Z', folder: statSync(folder).ino, ...identity, ...more})}\n`;
/** The lock of another process. */
const forge = (identity: Partial<ProcessIdentity>, more: Partial<Holder> = {}): string => {
  const line = lineOf(identity, more);
  writeFileSync(path, `${line}${beatText(0)}`);
  return line;
};
const isLinux = ownIdentity().boot !== undefined;
const elsewhere = {host: 'node-7', pid: 1, boot: 'another boot', namespace: 'pid:[1]', started: '5'};

test('the second is told who holds it, and since when; after the end it is free', async () => {
  const lock = await take();
  await expect(take()).rejects.toMatchObject({
    code: 'OUTPUT_REFUSED',
    message: expect.stringMatching(new RegExp(`^${folder}: process ${process.pid} on .+, since 20.* UTC, is working there$`)),
    data: {pid: process.pid},
  });
  lock.assertHeld();
  lock.release();
  expect(readdirSync(folder)).toEqual([]);
  (await take()).release();
});

describe('on this machine, at once', () => {
  const soon = {deadAfterMs: 60_000};
  testWith('/proc of Linux', 'a process that ended', async () => {
    const {pid} = spawnSync(process.execPath, ['-e', '0']);
    forge({pid});
    (await take(soon)).release();
  });
  testWith('/proc of Linux', 'another process of the same number, as in containers', async () => {
    forge({started: '17'});
    (await take(soon)).release();
  });
  testWith('/proc of Linux', 'a process that was killed and that nobody has waited for', async () => {
    const child = spawn(process.execPath, ['-e', 'setTimeout(() => {}, 60000)']);
    await new Promise((done) => child.once('spawn', done));
    const started = readFileSync(`/proc/${child.pid}/stat`, 'utf8')
      .replace(/^.*\) /s, '')
      .split(' ')[19]!;
    forge({pid: child.pid!, started});
    await expect(take(soon)).rejects.toThrow(`process ${child.pid} on`);
    child.kill('SIGKILL');
    await new Promise((done) => child.once('exit', done));
    (await take(soon)).release();
  });
});

describe('elsewhere: another machine, another container', () => {
  test('a live one is told by its signs of life', async () => {
    const line = forge(elsewhere);
    let count = 0;
    const timer = setInterval(() => beat({path, line, everyMs: 40}, ++count), 40);
    const waits: string[] = [];
    try {
      await expect(take({onWait: (text) => waits.push(text)})).rejects.toThrow(
        'process 1 on node-7, since 2026-01-02 03:04:05 UTC, is working there',
      );
    } finally {
      clearInterval(timer);
    }
    expect(waits).toEqual([expect.stringContaining('waiting up to 1 s for a sign of life')]);
  });
  test.each<[string, () => unknown]>([
    ['a dead one gives none', () => forge(elsewhere)],
    ['an empty file', () => writeFileSync(path, '')],
    ['a file that was cut', () => writeFileSync(path, '{"host":"a","pi')],
    ['a file of other fields', () => writeFileSync(path, `${JSON.stringify({host: [], pid: 'x', boot: null})}\n`)],
    ['a copy of the folder of a live one', () => forge({}, {folder: 1})],
  ])('%s: taken over after a while', async (_, make) => {
    make();
    const before = performance.now();
    const lock = await take();
    expect(performance.now() - before).toBeGreaterThan(450);
    lock.assertHeld();
    lock.release();
  });
  test('who is stopped for too long does not write on', async () => {
    const lock = await take();
    forge(elsewhere);
    expect(() => lock.assertHeld()).toThrow(`${folder} was taken over by process 1 on node-7`);
    lock.release();
    expect(existsSync(path)).toBe(true); // the other one's
  });
});

test('a lock gives signs of life, and none after its end', async () => {
  const lock = await take();
  const seen = new Set<string>();
  for (let i = 0; i < 20; i++) {
    seen.add(readFileSync(path, 'utf8'));
    await new Promise((done) => setTimeout(done, 20));
  }
  expect(seen.size).toBeGreaterThan(2);
  lock.release();
  await new Promise((done) => setTimeout(done, 100));
  expect(existsSync(path)).toBe(false);
});

test('of many who find a dead one, one holds it', async () => {
  for (let round = 0; round < 10; round++) {
    forge(isLinux ? {started: '17'} : elsewhere);
    const outcomes = await Promise.allSettled(Array.from({length: 8}, () => take()));
    const locks = outcomes.flatMap((outcome) => (outcome.status === 'fulfilled' ? [outcome.value] : []));
    expect(locks).toHaveLength(1);
    locks[0]!.assertHeld();
    locks[0]!.release();
    expect(readdirSync(folder)).toEqual([]);
  }
});

test('what is no file is neither followed nor waited for', async () => {
  copyFileSync(__filename, join(folder, 'victim'));
  const before = readFileSync(join(folder, 'victim'), 'utf8');
  symlinkSync('victim', path);
  await expect(take()).rejects.toMatchObject({code: 'FILE_UNREADABLE'});
  rmSync(path);
  spawnSync('mkfifo', [path]);
  await expect(take()).rejects.toMatchObject({code: 'FILE_UNREADABLE'});
  rmSync(path);
  mkdirSync(path);
  await expect(take()).rejects.toMatchObject({code: 'FILE_UNREADABLE'});
  expect(readFileSync(join(folder, 'victim'), 'utf8')).toBe(before);
});

test('waiting ends with the wish to end', async () => {
  forge(elsewhere);
  const controller = new AbortController();
  setTimeout(() => controller.abort(), 50);
  await expect(take({deadAfterMs: 60_000, signal: controller.signal})).rejects.toThrow('process 1 on node-7');
});
