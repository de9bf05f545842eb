/** Names of files as lists of labels write them: with other folders before them, in another Unicode form, or without their ending. */
import {fileOf, isImage} from './entries.js';

/** Composed characters, as Unicode's NFC: macOS writes accents apart, others do not. */
export const plainName = (name: string): string => name.normalize('NFC').replace(/^(\.?\/)+/, '');
const withoutEnding = (name: string): string => (isImage(name) ? name.replace(/\.[^.]+$/, '') : name);

/** The ways in which a name may be meant, the most exact first. */
const readings: readonly ((name: string) => string)[] = [
  (name) => name,
  plainName,
  (name) => fileOf(plainName(name)),
  (name) => withoutEnding(fileOf(plainName(name))),
];

/** Finds the name in a list that means a file of the set. */
export class LabelledNames {
  private readonly all: ReadonlySet<string>;
  /** For each reading, what is written so; null where several are. Made when it is first needed. */
  private readonly byReading: (Map<string, string | null> | undefined)[] = [];

  constructor(names: Iterable<string>) {
    this.all = new Set(names);
  }

  /** Undefined where none is meant, or where the folders of several tell them apart and these are none of them. */
  find(path: string): string | undefined {
    if (this.all.has(path)) return path;
    for (let level = 1; level < readings.length; level++) {
      const found = this.index(level).get(readings[level]!(path));
      if (found !== undefined) return found ?? undefined;
    }
    return undefined;
  }

  private index(level: number): Map<string, string | null> {
    const known = this.byReading[level];
    if (known) return known;
    const index = new Map<string, string | null>();
    for (const name of this.all) {
      const key = readings[level]!(name);
      index.set(key, index.has(key) ? null : name);
    }
    this.byReading[level] = index;
    return index;
  }
}
