/** What lies in fixtures/ is what its generator makes, byte for byte, and small enough to ship. */
import {createHash} from 'node:crypto';
import {readdirSync, readFileSync} from 'node:fs';
import {join} from 'node:path';
import {bytesOfFixture, fixtures} from '../fixtures/checkpoints.js';

const root = join(__dirname, '../fixtures');
const manifest: {file: string; sha256: string; bytes: number; what: string; madeBy: string; expected: string; flags: object}[] =
  JSON.parse(readFileSync(join(root, 'manifest.json'), 'utf8'));
const sha256 = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex');

test.each(fixtures.map((f) => [f.file, f] as const))('%s is made again, the same', (file, fixture) => {
  const lying = readFileSync(join(root, 'checkpoints', file));
  const made = bytesOfFixture(fixture);
  expect([made.length, sha256(made)]).toEqual([lying.length, sha256(lying)]);
  const {what, flags} = fixture;
  const expected = `checkpoints/${file}.logits.json`;
  const entry = {file: `checkpoints/${file}`, sha256: sha256(made), bytes: made.length, what, flags, expected};
  expect(manifest.find((m) => m.file === entry.file)).toEqual({...entry, madeBy: 'fixtures/make.ts'});
});

test('nothing else lies there, and all of it is small', () => {
  const files = fixtures.flatMap(({file}) => [file, `${file}.logits.json`]);
  expect(readdirSync(join(root, 'checkpoints')).sort()).toEqual(files.sort());
  expect(manifest).toHaveLength(fixtures.length);
  const sizes = manifest.map(({bytes}) => bytes);
  expect(Math.max(...sizes)).toBeLessThanOrEqual(300_000);
  expect(sizes.reduce((a, b) => a + b)).toBeLessThanOrEqual(3_000_000);
});
