/** Small folders of noise, in classes. */
import {mkdirSync, writeFileSync} from 'node:fs';
import {join} from 'node:path';
import {random} from '../../src/core/random.js';
import {encodePpm} from '../../src/data/ppm.js';

/** 8 x 8 pixels, brighter in later classes. */
export function writeClass(folder: string, c: number, names: readonly string[]): void {
  const r = random(`small set ${folder.split('/').at(-1)}`);
  mkdirSync(folder, {recursive: true});
  for (const name of names) {
    const data = new Uint8Array(8 * 8 * 3).map(() => r.integer(200) + 50 * c);
    writeFileSync(join(folder, name), encodePpm({width: 8, height: 8, data}));
  }
}

export function writeSet(folder: string, classes: readonly string[], images: number): void {
  for (const [c, name] of classes.entries()) {
    writeClass(
      join(folder, name),
      c % 2,
      Array.from({length: images}, (_, i) => `${String(i).padStart(3, '0')}.ppm`),
    );
  }
}
