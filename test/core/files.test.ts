/** Files in, files out: what is refused, and that a result appears whole or not at all. */
import {mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, truncateSync, writeFileSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import fc from 'fast-check';
import {ByteReader, type ByteSource, bufferSource, fileSource, sliceSource} from '../../src/core/bytes.js';
import {GpdError} from '../../src/core/error.js';
import {checkOutput, Staging, writeAtomically} from '../../src/core/output.js';

let folder = '';
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'files-'));
});
afterEach(() => rmSync(folder, {recursive: true, force: true}));
const at = (name: string) => join(folder, name);
const codeOf = (action: () => unknown): string => {
  try {
    action();
  } catch (error) {
    if (error instanceof GpdError) return error.code;
    throw error;
  }
  return 'nothing was refused';
};

const content = Uint8Array.from({length: 100}, (_, i) => i);

describe('a range of bytes is read exactly, or refused', () => {
  const sources: [string, () => ByteSource][] = [
    ['a buffer', () => bufferSource(content)],
    [
      'a file',
      () => {
        writeFileSync(at('f'), content);
        return fileSource(at('f'));
      },
    ],
    ['a part', () => sliceSource(bufferSource(Uint8Array.from([9, 9, ...content, 9])), 2, 100)],
  ];
  test.each(sources)('%s', (_, open) => {
    const source = open();
    const number = fc.oneof(fc.integer({min: -3, max: 110}), fc.constantFrom(Number.NaN, 2 ** 53, Number.POSITIVE_INFINITY));
    fc.assert(
      fc.property(number, number, (offset, length) => {
        const inside = offset >= 0 && length >= 0 && offset + length <= 100;
        if (inside) expect(source.read(offset, length)).toEqual(content.slice(offset, offset + length));
        else expect(codeOf(() => source.read(offset, length))).toBe('CHECKPOINT_TRUNCATED');
      }),
      {seed: 20260804, numRuns: 300},
    );
    source.close();
  });

  test('a file that becomes shorter while it is read', () => {
    writeFileSync(at('f'), content);
    const source = fileSource(at('f'));
    truncateSync(at('f'), 10);
    expect(codeOf(() => source.read(0, 50))).toBe('FILE_CHANGED');
    source.close();
  });
});

test('only regular files are opened', () => {
  mkdirSync(at('d'));
  writeFileSync(at('f'), content);
  symlinkSync(at('f'), at('link'));
  const refused: [string, () => ByteSource, string][] = [
    ['missing', () => fileSource(at('none')), 'no such file'],
    ['a folder', () => fileSource(at('d')), 'is a directory'],
    ['below a file', () => fileSource(at('f/x')), 'not a directory'],
    ['a device', () => fileSource('/dev/null'), 'not a regular file'],
    ['a link, where none is wanted', () => fileSource(at('link'), {links: 'refuse'}), 'symbolic link'],
  ];
  for (const [what, open, message] of refused) {
    expect([what, codeOf(open)]).toEqual([what, 'FILE_UNREADABLE']);
    expect(open).toThrow(message);
  }
  expect(fileSource(at('link')).size).toBe(100);
});

test('a reader never reads past its end', () => {
  const r = new ByteReader(Uint8Array.of(1, 2, 0, 3, 0, 0, 0), 'r');
  expect([r.u8(), r.u16(), r.i32(), r.remaining]).toEqual([1, 2, 3, 0]);
  expect(codeOf(() => r.u8())).toBe('CHECKPOINT_TRUNCATED');
  expect(r.offset).toBe(7);
});

describe('results', () => {
  test('appear together, and only when all are there', () => {
    const staging = new Staging({replace: false});
    const [a, b] = [staging.create(at('a')), staging.create(at('b'))];
    a.write(Uint8Array.of(1));
    b.write(Uint8Array.of(2));
    a.finish();
    a.write(Uint8Array.of(3));
    const visible = () => readdirSync(folder).filter((name) => !name.startsWith('.'));
    expect(visible()).toEqual([]);
    staging.commit();
    expect(readdirSync(folder).sort()).toEqual(['a', 'b']);
    expect([...readFileSync(at('a'))]).toEqual([1, 3]);
  });

  test('leave no trace when they are given up', () => {
    const staging = new Staging({replace: false});
    staging.create(at('a')).write(content);
    staging.discard();
    expect(readdirSync(folder)).toEqual([]);
    const failing = () =>
      writeAtomically(at('a'), (write) => {
        write(content);
        throw new Error('in the middle');
      });
    expect(failing).toThrow('in the middle');
    expect(readdirSync(folder)).toEqual([]);
  });

  test('a file that is replaced stays whole until the new one is', () => {
    writeFileSync(at('a'), 'old');
    expect(() =>
      writeAtomically(at('a'), () => {
        throw new Error('no');
      }),
    ).toThrow('no');
    expect(readFileSync(at('a'), 'utf8')).toBe('old');
    writeAtomically(at('a'), (write) => write(Buffer.from('new')));
    expect([readFileSync(at('a'), 'utf8'), readdirSync(folder)]).toEqual(['new', ['a']]);
  });

  test('what would surprise is refused', () => {
    writeFileSync(at('in'), content);
    symlinkSync(at('in'), at('link'));
    const check = (name: string, force: boolean) => codeOf(() => checkOutput(at(name), {force, inputs: [at('in')]}));
    for (const name of ['in', 'link', '.', 'none/a'])
      expect([name, check(name, false), check(name, true)]).toEqual([name, 'OUTPUT_REFUSED', 'OUTPUT_REFUSED']);
    writeFileSync(at('old'), 'x');
    expect([check('old', false), check('old', true), check('new', false)]).toEqual([
      'OUTPUT_REFUSED',
      'nothing was refused',
      'nothing was refused',
    ]);
  });

  test('a folder that cannot be written', () => {
    expect(codeOf(() => writeAtomically(at('none/a'), (write) => write(content)))).toBe('OUTPUT_REFUSED');
  });
});
