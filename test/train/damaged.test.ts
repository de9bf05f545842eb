/** The newest checkpoint is damaged: the error names the newest good one beside it, and the commands that go on from that. */
import {execFileSync} from 'node:child_process';
import {cpSync, mkdirSync, readFileSync, rmSync, statSync, truncateSync, writeFileSync} from 'node:fs';
import {random} from '../../src/core/random.js';
import {SmallFolder} from './small-folder.js';

const small = new SmallFolder();
beforeAll(() => small.begin({epochs: '3', keep: '3'}));
afterAll(small.remove);
const path = (name: string) => small.inTried(name);

function flip(name: string, bit: number): void {
  const bytes = readFileSync(path(name));
  bytes[bit >> 3]! ^= 1 << (bit & 7);
  writeFileSync(path(name), bytes);
}
const damages: Readonly<Record<string, (name: string) => void>> = {
  cut: (name) => truncateSync(path(name), statSync(path(name)).size >> 1),
  empty: (name) => writeFileSync(path(name), ''),
  'of one flipped bit': (name) => flip(name, 4 * statSync(path(name)).size),
  'a folder': (name) => {
    rmSync(path(name));
    mkdirSync(path(name));
  },
  zeros: (name) => writeFileSync(path(name), new Uint8Array(statSync(path(name)).size)),
};

/** What the hint says to do, before gpd itself. */
function follow(hint: string): void {
  const commands = hint.replace(/^.*? with /, '').split(' && ');
  expect(commands.at(-1)).toBe(`gpd train --out ${small.tried} --resume`);
  execFileSync('sh', ['-ec', commands.slice(0, -1).join(' && ')]);
}

test.each(Object.keys(damages))('last.pth.tar is %s: the newest other checkpoint, and on from there', async (name) => {
  small.fresh();
  damages[name]!('last.pth.tar');
  if (name === 'a folder') rmSync(path('checkpoint-2.pth.tar'));
  else damages[name]!('checkpoint-2.pth.tar'); // the same file as `last` where there are hard links
  const refusal = await small.refusal({epochs: '3', keep: '3'});
  expect(refusal?.message.startsWith(path('last.pth.tar'))).toBe(true);
  expect(refusal?.hint).toContain(`${path('checkpoint-1.pth.tar')} is whole: go on from it with mv`);
  follow(refusal!.hint!);
  expect(await small.resume({epochs: '3', keep: '3'})).toMatchObject({complete: true, epochs: {length: 3}});
  expect(readFileSync(path('last.pth.tar')).equals(readFileSync(`${small.honest}/last.pth.tar`))).toBe(false); // seconds differ
  expect(small.notes.length).toBeGreaterThan(0);
});

test('best.pth.tar where nothing else is whole, and none where nothing is', async () => {
  small.fresh();
  cpSync(path('checkpoint-1.pth.tar'), path('best.pth.tar'));
  for (const n of [0, 1, 2]) damages['empty']!(`checkpoint-${n}.pth.tar`);
  damages['cut']!('last.pth.tar');
  expect((await small.refusal())?.hint).toContain(`${path('best.pth.tar')} is whole: go on from it with mv`);
  damages['cut']!('best.pth.tar');
  expect((await small.refusal())?.hint).toContain(`no other checkpoint in ${small.tried} can be read`);
});

test('step.pth.tar is damaged: last.pth.tar stays where it is', async () => {
  small.fresh();
  writeFileSync(path('step.pth.tar'), 'PK');
  const refusal = await small.refusal({epochs: '3', keep: '3'});
  expect(refusal?.hint).toContain(`${path('last.pth.tar')} is whole: go on from it with mv`);
  expect(refusal?.hint).not.toContain('cp ');
  follow(refusal!.hint!);
  expect(await small.outcome({epochs: '3', keep: '3'})).toBe('goes on');
});

test('whichever bit is flipped: refused, or nothing that is read', async () => {
  small.fresh();
  const r = random('bits');
  const whole = readFileSync(path('last.pth.tar'));
  for (let i = 0; i < 60; i++) {
    writeFileSync(path('last.pth.tar'), whole);
    flip('last.pth.tar', r.integer(8 * whole.length));
    expect(await small.outcome({epochs: '3', keep: '3'})).toMatch(/goes on|^CHECKPOINT_|^FORMAT_UNKNOWN$|^PICKLE_|^LIMIT_/);
  }
});
