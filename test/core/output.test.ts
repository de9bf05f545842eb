/** Results beside what others do on the same disk meanwhile, and what a process leaves that was killed. */
import {execFileSync} from 'node:child_process';
import {
  chmodSync,
  existsSync,
  linkSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import {tmpdir} from 'node:os';
import {dirname, join} from 'node:path';
import fc from 'fast-check';
import {fileSource} from '../../src/core/bytes.js';
import {GpdError} from '../../src/core/error.js';
import {checkOutput, Staging, writeAtomically} from '../../src/core/output.js';
import {isInPlace, makeHidden, removeHidden, watchHidden} from '../../src/core/temporary.js';
import {testWith} from '../optional.js';

let folder = '';
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'output-'));
});
afterEach(() => rmSync(folder, {recursive: true, force: true}));
const at = (name: string) => join(folder, name);
const content = (text: string) => new TextEncoder().encode(text);

function failureOf(action: () => unknown): GpdError {
  try {
    action();
  } catch (error) {
    if (error instanceof GpdError) return error;
    throw error;
  }
  throw new Error('nothing was refused');
}

/** What can appear under a name, and whether it is still there afterwards. */
const appearances: Record<string, {make(path: string): void; isThere(path: string): boolean}> = {
  'a file': {make: (p) => writeFileSync(p, 'precious'), isThere: (p) => readFileSync(p, 'utf8') === 'precious'},
  'a folder': {make: (p) => mkdirSync(p), isThere: (p) => lstatSync(p).isDirectory()},
  'a link to nothing': {make: (p) => symlinkSync('/nowhere/x', p), isThere: (p) => lstatSync(p).isSymbolicLink()},
  'a link to a file': {
    make: (p) => {
      writeFileSync(at('target'), 'precious');
      symlinkSync(at('target'), p);
    },
    isThere: (p) => lstatSync(p).isSymbolicLink() && readFileSync(at('target'), 'utf8') === 'precious',
  },
  'a FIFO': {make: (p) => void execFileSync('mkfifo', [p]), isThere: (p) => lstatSync(p).isFIFO()},
};

describe('without permission to replace, what appears under a name meanwhile stays, and no part of the results appears', () => {
  test.each(Object.entries(appearances))('%s', (_, {make, isThere}) => {
    const moment = fc.record({files: fc.integer({min: 1, max: 4}), taken: fc.nat(3), written: fc.nat(4)});
    fc.assert(
      fc.property(moment, ({files, taken, written}) => {
        rmSync(folder, {recursive: true});
        mkdirSync(folder);
        const staging = new Staging({replace: false});
        const names = Array.from({length: files}, (_, i) => `f${i}`);
        const rival = names[taken % files]!;
        for (const [i, name] of [...names, ''].entries()) {
          if (i === written % (files + 1)) make(at(rival));
          if (name !== '') staging.create(at(name)).write(content(name));
        }
        const error = failureOf(() => staging.commit());
        expect([error.code, error.at, error.hint]).toEqual(['OUTPUT_REFUSED', at(rival), expect.stringContaining('--force')]);
        expect(isThere(at(rival))).toBe(true);
        expect(readdirSync(folder).filter((name) => name !== rival && name !== 'target')).toEqual([]);
      }),
      {seed: 15, numRuns: 30},
    );
  });

  test('nor by two runs at once: one of them wins, the other says so', () => {
    const [first, second] = ['one', 'two'].map((text) => {
      const staging = new Staging({replace: false});
      staging.create(at('x')).write(content(text));
      return staging;
    }) as [Staging, Staging];
    second.commit();
    expect(failureOf(() => first.commit()).code).toBe('OUTPUT_REFUSED');
    expect([readFileSync(at('x'), 'utf8'), readdirSync(folder)]).toEqual(['two', ['x']]);
  });
});

test('a link to nothing is refused before the work, and replaced with permission', () => {
  symlinkSync('/nowhere/x', at('x'));
  expect(failureOf(() => checkOutput(at('x'), {force: false, inputs: []})).message).toContain('a link to nothing');
  checkOutput(at('x'), {force: true, inputs: []});
  writeAtomically(at('x'), (write) => write(content('new')));
  expect([lstatSync(at('x')).isFile(), readFileSync(at('x'), 'utf8')]).toEqual([true, 'new']);
});

test('a name that no disk takes is an error with a code', () => {
  for (const name of ['x'.repeat(300), `${'d/'.repeat(3000)}x`])
    expect(failureOf(() => checkOutput(at(name), {force: false, inputs: []})).code).toBe('OUTPUT_REFUSED');
});

test.each([0o600, 0o640, 0o755, 0o444])('a file of mode %o that is replaced keeps its mode', (mode) => {
  writeFileSync(at('x'), 'old');
  chmodSync(at('x'), mode);
  writeAtomically(at('x'), (write) => write(content('new')));
  expect([statSync(at('x')).mode & 0o777, readFileSync(at('x'), 'utf8')]).toEqual([mode, 'new']);
});

describe('"nothing was left behind" is said where it is true alone', () => {
  test('the output’s folder was moved away', () => {
    mkdirSync(at('out'));
    const staging = new Staging({replace: true});
    staging.create(at('out/x')).write(content('x'));
    renameSync(at('out'), at('moved'));
    const error = failureOf(() => staging.commit());
    expect(error.message).not.toContain('nothing was left');
    const [left] = readdirSync(at('moved'));
    expect([error.message, error.hint]).toEqual([expect.stringContaining(left!), expect.stringContaining(left!)]);
  });

  test('a folder of somebody else’s under the hidden folder’s name is neither used nor emptied; the link to it goes', () => {
    const staging = new Staging({replace: true});
    const file = staging.create(at('x'));
    file.write(content('mine'));
    file.finish();
    const hidden = dirname(file.temporaryPath);
    renameSync(hidden, at('aside'));
    mkdirSync(at('theirs'));
    writeFileSync(at('theirs/x'), 'theirs');
    symlinkSync(at('theirs'), hidden);
    expect(failureOf(() => staging.commit()).code).toBe('OUTPUT_REFUSED');
    expect([existsSync(at('x')), readFileSync(at('theirs/x'), 'utf8')]).toEqual([false, 'theirs']);
    expect(readdirSync(folder).sort()).toEqual(['aside', 'theirs']);
  });

  test('nothing is written through a link under the hidden folder’s name', () => {
    const file = new Staging({replace: true}).create(at('x'));
    const hidden = dirname(file.temporaryPath);
    renameSync(hidden, at('aside'));
    mkdirSync(at('theirs'));
    symlinkSync(at('theirs'), hidden);
    expect(failureOf(() => file.write(content('mine'))).code).toBe('OUTPUT_REFUSED');
    expect(readdirSync(at('theirs'))).toEqual([]);
  });

  test('a file is not finished where it cannot be opened any more', () => {
    mkdirSync(at('out'));
    const staging = new Staging({replace: true});
    const file = staging.create(at('out/x'));
    file.write(content('x'));
    renameSync(at('out'), at('moved'));
    symlinkSync(at('.'), at('out'));
    expect(failureOf(() => file.finish())).toMatchObject({code: 'OUTPUT_REFUSED', at: at('out/x')});
  });

  test('the usual case', () => {
    const error = failureOf(() => writeAtomically(at('none/x'), (write) => write(content('x'))));
    expect(error.message).toContain('nothing was left behind');
  });
});

describe('hidden folders', () => {
  const age = (path: string, days: number) => {
    const then = Date.now() / 1000 - days * 24 * 3600;
    utimesSync(path, then, then);
  };

  test('a name is never that of another, whatever the process id', () => {
    const names = new Set(Array.from({length: 200}, () => makeHidden(folder)));
    expect(names.size).toBe(200);
    expect([...names].filter((path) => path.includes(`-${process.pid}-`))).toEqual([]);
    for (const path of names) expect(removeHidden(path)).toBe(true);
    expect(readdirSync(folder)).toEqual([]);
  });

  test('what a killed process left goes a day later, also under the names of older versions; the rest stays', () => {
    const left = {
      old: '.gpd-00ff00ff00ff00ff-0.tmp',
      young: '.gpd-00ff00ff00ff00ff-1.tmp',
      pid: '.gpd-1-0.tmp',
      other: '.gpd-mine',
    };
    for (const name of Object.values(left)) {
      mkdirSync(at(name));
      writeFileSync(at(`${name}/x.onnx`), 'half');
    }
    for (const name of [left.old, left.pid, left.other]) age(at(name), 2);
    removeHidden(makeHidden(folder));
    expect(readdirSync(folder).sort()).toEqual([left.young, left.other].sort());
  });

  test('one that is in use is kept fresh', () => {
    jest.useFakeTimers({doNotFake: ['Date']});
    jest.isolateModules(() => {
      const own = require('../../src/core/temporary.js') as typeof import('../../src/core/temporary.js');
      const path = own.makeHidden(folder);
      age(path, 2);
      jest.advanceTimersByTime(10 * 60 * 1000);
      expect(Date.now() - statSync(path).mtimeMs).toBeLessThan(60_000);
      own.removeHidden(path);
    });
    jest.useRealTimers();
  });

  test('each is announced before it is there, so that somebody else can clean up', () => {
    const seen: [path: string, held: boolean, there: boolean][] = [];
    watchHidden((path, held) => seen.push([path, held, existsSync(path)]));
    const path = makeHidden(folder);
    removeHidden(path);
    watchHidden(() => {});
    expect(seen).toEqual([
      [path, true, false],
      [path, false, false],
    ]);
  });

  test('a hard link to a file in one does not make it another', () => {
    const path = makeHidden(folder);
    writeFileSync(join(path, 'x'), 'x');
    linkSync(join(path, 'x'), at('x'));
    expect(isInPlace(path)).toBe(true);
    removeHidden(path);
  });
});

testWith('3 GB of free disk', 'a piece of more than 2 GiB is written whole, as one tensor may be', () => {
  const bytes = new Uint8Array(2 ** 31 + 8);
  bytes[bytes.length - 1] = 7;
  writeAtomically(at('large'), (write) => write(bytes));
  const source = fileSource(at('large'));
  expect([source.size, ...source.read(source.size - 2, 2)]).toEqual([bytes.length, 0, 7]);
  source.close();
});
