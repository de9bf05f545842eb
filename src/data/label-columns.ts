/** Which of several fields of a record holds the label: of a row of a table, a line of metadata, a JSON text beside an image. */
import {GpdError} from '../core/error.js';
import {some} from './entries.js';
import type {LabelValue} from './own-labels.js';
import {type DataWarning, warnings} from './warnings.js';

/** What labels are usually called, the most usual first. CIFAR-100 has fine and coarse ones. */
const USUAL = [
  ...['label', 'labels', 'cls', 'class', 'class_id', 'class_idx', 'class_index', 'label_id', 'label_idx', 'target', 'y'],
  ...[
    'fine_label',
    'fine_labels',
    'coarse_label',
    'coarse_labels',
    'category',
    'category_id',
    'class_name',
    'label_name',
    'wnid',
    'synset',
  ],
];

/** Fields of text that are no labels. */
const CAPTIONS = /text|caption|prompt|description|title|path|file|url|^id$|_id$|index|width|height|size/i;

export interface ColumnChoice {
  readonly column: string | undefined;
  readonly warnings: readonly DataWarning[];
}

/** `columns` are those that could hold labels. Throws DATASET_INVALID where the one that was asked for is not among them. */
export function labelColumn(set: string, columns: readonly string[], asked: string | undefined): ColumnChoice {
  if (asked !== undefined) {
    const found = columns.includes(asked)
      ? asked
      : columns.find((name) => name === `${asked}_label` || name === `${asked}_labels`);
    if (found !== undefined) return {column: found, warnings: []};
    throw new GpdError('DATASET_INVALID', `${set}: has no column '${asked}' that could be a label`, {
      at: set,
      hint: columns.length === 0 ? 'it has none at all: give labels with --labels' : `it has ${some(columns, 12)}`,
    });
  }
  const usual = USUAL.filter((name) => columns.some((column) => column.toLowerCase() === name));
  const named = usual.map((name) => columns.find((column) => column.toLowerCase() === name)!);
  const unnamed = columns.filter((name) => !CAPTIONS.test(name));
  const [column, ...others] = named.length > 0 ? named : unnamed.length === 1 ? unnamed : [];
  return {column, warnings: column === undefined ? [] : warnings('label-column', others, column)};
}

/** Numbers and texts are labels; lists, objects, true and null are none. */
export const labelValue = (value: unknown): LabelValue =>
  typeof value === 'number' || typeof value === 'string' ? value : typeof value === 'bigint' ? Number(value) : undefined;
