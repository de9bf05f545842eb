/** A file of labels: what kind it is is told by its contents. */
import {fileSource} from '../core/bytes.js';
import {GpdError} from '../core/error.js';
import {type LabelRow, labelFormOf} from './label-forms.js';
import type {DataWarning} from './warnings.js';

/** ImageNet's 1.3 million training images with their paths take 60 MB. */
const MAX_BYTES = 256 * 1024 * 1024;

export interface LabelFile {
  readonly path: string;
  /** Labels as they stand there, in order. */
  readonly texts: readonly string[];
  /** Whose they are: places in `texts`. Undefined for a label a line, in the order of the images. */
  readonly byFile: ReadonlyMap<string, number> | undefined;
  /** Files with another label further down, and where. */
  readonly again: ReadonlyMap<string, number>;
  /** What it may list as the classes in label order, for images in class folders. */
  readonly lists: readonly (readonly string[])[];
  /** Why it can be a list of classes alone. */
  readonly doubt: string | undefined;
  /** Which of several columns was taken. */
  readonly warnings: readonly DataWarning[];
  /** Where a label stands, for messages: `line 7`. */
  where(place: number): string;
}

/** For errors: what a file of labels may be. */
export const LABEL_FORMATS = "give one label on each line, in the order of the images' names, or 'FILE LABEL' on each line";

/** UTF-8, or UTF-16 where a byte order mark says so. Throws TypeError for what is neither. */
function decoded(bytes: Uint8Array): string {
  const utf16 =
    bytes[0] === 0xff && bytes[1] === 0xfe ? 'utf-16le' : bytes[0] === 0xfe && bytes[1] === 0xff ? 'utf-16be' : undefined;
  return new TextDecoder(utf16 ?? 'utf-8', {fatal: true}).decode(bytes);
}

/** `column`: which one holds the labels of a table with several. Throws DATASET_INVALID for what is no file of labels. */
export function readLabelFile(path: string, column?: string): LabelFile {
  const invalid = (problem: string, hint = LABEL_FORMATS) =>
    new GpdError('DATASET_INVALID', `${path}: ${problem}`, {at: path, hint});
  const source = fileSource(path);
  let text: string;
  try {
    if (source.size > MAX_BYTES) throw invalid(`has ${source.size} bytes; label files have up to ${MAX_BYTES}`);
    text = decoded(source.read(0, source.size));
  } catch (error) {
    throw (error as Error).name === 'TypeError' ? invalid('is not text in UTF-8 or UTF-16') : error; // of another realm in tests
  } finally {
    source.close();
  }
  if (text.trim() === '') throw invalid('is empty');
  const {rows, names, lists = [], doubt, warnings = []} = labelFormOf(text, {path, column, invalid});
  if (names)
    return {
      path,
      texts: names,
      byFile: undefined,
      again: new Map(),
      lists: [names, ...lists],
      doubt,
      warnings,
      where: onLine,
    };
  return {path, ...byFile(rows), lists, doubt, warnings};
}

const onLine = (place: number): string => `line ${place + 1}`;

function byFile(rows: readonly LabelRow[]): Pick<LabelFile, 'texts' | 'byFile' | 'again' | 'where'> {
  const [places, again] = [new Map<string, number>(), new Map<string, number>()];
  for (const [place, {file, label}] of rows.entries()) {
    const before = places.get(file);
    if (before === undefined) places.set(file, place);
    else if (rows[before]!.label !== label) again.set(file, place);
  }
  return {texts: rows.map(({label}) => label), byFile: places, again, where: (place) => rows[place]!.where};
}
