/** The object tree of a checkpoint for people and for `--json`: bounded in depth and breadth, and safe where a tree contains itself. */
import {formatShape} from '../core/tensor.js';
import {
  childrenOf,
  isKind,
  isMap,
  isScalar,
  isTensor,
  keyText,
  type ObjectStub,
  type PlainData,
  typeName,
} from './plain-data.js';

export interface TreeLine {
  readonly depth: number;
  /** The place under its parent: a dict key, a list index, a field. */
  readonly place: string;
  readonly text: string;
}

export interface TreeLimits {
  maxDepth: number;
  /** Children shown per value. */
  maxChildren: number;
  maxLines: number;
}

const LIMITS: TreeLimits = {maxDepth: 4, maxChildren: 1000, maxLines: 20_000};
const MAX_TEXT = 120;

/** One line per value, parents before children. */
export function describeTree(root: PlainData, limits: Partial<TreeLimits> = {}): TreeLine[] {
  const {maxDepth, maxChildren, maxLines} = {...LIMITS, ...limits};
  const lines: TreeLine[] = [];
  const path = new Set<PlainData>(); // the ancestors of the value at hand
  const visit = (place: string, value: PlainData, depth: number) => {
    if (lines.length >= maxLines) return;
    const again = path.has(value);
    lines.push({depth, place, text: again ? `${typeName(value)} that contains itself` : describeValue(value)});
    if (isScalar(value) || depth >= maxDepth || again) return;
    path.add(value);
    let shown = 0;
    for (const [at, child] of childrenOf(value)) {
      if (shown++ === maxChildren) break;
      visit(at, child, depth + 1);
    }
    const left = countOf(value) - maxChildren;
    if (left > 0) lines.push({depth: depth + 1, place: '…', text: `${left} more`});
    path.delete(value);
  };
  visit('', root, 0);
  return lines;
}

export function describeValue(value: PlainData): string {
  if (typeof value === 'string') return JSON.stringify(value.length > MAX_TEXT ? `${value.slice(0, MAX_TEXT)}…` : value);
  if (value === null) return 'None';
  if (isScalar(value)) return String(value);
  if (isTensor(value)) return `${value.storage.dtype}${sizeText(value.size)}`;
  if (isKind(value, 'global')) return `${value.module}.${value.name}`;
  if (isKind(value, 'inert')) return `${value.type} ${value.text}`;
  if (isKind(value, 'dtype')) return `numpy.dtype ${value.code}`;
  if (isKind(value, 'array')) return `numpy.ndarray ${value.dtype?.code ?? '?'}${sizeText(value.size)}`;
  if (value instanceof Uint8Array) return `bytes (${value.length})`;
  return `${typeName(value)} (${countOf(value)})`;
}

const MAX_DIMENSIONS = 16;
const sizeText = (size: readonly PlainData[]): string =>
  size.length > MAX_DIMENSIONS ? `[${size.length} dimensions]` : formatShape(size.map((n) => keyText(n).slice(0, MAX_TEXT)));

function countOf(value: PlainData): number {
  if (Array.isArray(value)) return value.length;
  if (value instanceof Map) return value.size;
  if (isKind(value, 'tuple') || isKind(value, 'set')) return value.items.length;
  if (isKind(value, 'object')) return partsIn(value);
  return isKind(value, 'namespace') ? value.fields.size : 0;
}

function partsIn({args, state, entries, items}: ObjectStub): number {
  const parts = isKind(state, 'tuple') ? state.items : [state];
  const attributes = parts.reduce<number>((n, part) => n + (isMap(part) ? part.size : 1), 0);
  return args.length + attributes + (entries?.size ?? 0) + (items?.length ?? 0) - (state === undefined ? 1 : 0);
}

/** A training run has up to 150 options, some of them short lists. The limit is on all values together, because lists can be shared. */
const MAX_JSON_VALUES = 10_000;
const MAX_JSON_DEPTH = 6;
/** Longer texts are cut, because they can be shared too: a path or a list of class names fits. */
const MAX_JSON_TEXT = 2000;
/** All texts together; beyond that a mark stands for each that is longer than a name. */
const MAX_JSON_CHARACTERS = 1 << 20;
const MAX_SHORT_TEXT = 20;

export interface JsonLimit {
  values: number;
  characters: number;
}
export const jsonLimit = (): JsonLimit => ({values: MAX_JSON_VALUES, characters: MAX_JSON_CHARACTERS});

/**
 * Plain data as JSON has it. Dicts become objects without a prototype; what lies too deep, or is no data, becomes its text.
 * `left` is shared by values that belong together.
 */
export function toJson(value: PlainData, left: JsonLimit = jsonLimit()): unknown {
  const convert = (value: PlainData, depth: number): unknown => {
    if (typeof value === 'bigint' || (typeof value === 'number' && !Number.isFinite(value))) return String(value);
    if (typeof value === 'string') return cutText(value, left);
    if (isScalar(value)) return value;
    if (!isContainer(value) || depth === 0 || left.values < countOf(value)) return describeValue(value);
    left.values -= countOf(value);
    const items = Array.isArray(value) ? value : isKind(value, 'tuple') || isKind(value, 'set') ? value.items : undefined;
    if (items) return items.map((item) => convert(item, depth - 1));
    const record: Record<string, unknown> = Object.create(null);
    for (const [place, child] of childrenOf(value)) record[cutText(place, left)] = convert(child, depth - 1);
    return record;
  };
  return convert(value, MAX_JSON_DEPTH);
}

/** A text as far as it is shown, paid from what belongs together. */
export function cutText(text: string, left: JsonLimit): string {
  if (left.characters <= 0) return text.length > MAX_SHORT_TEXT ? '…' : text;
  const shown = text.length > MAX_JSON_TEXT ? `${text.slice(0, MAX_JSON_TEXT)}…` : text;
  left.characters -= shown.length;
  return shown;
}

const isContainer = (value: PlainData): boolean =>
  Array.isArray(value) ||
  value instanceof Map ||
  isKind(value, 'tuple') ||
  isKind(value, 'set') ||
  isKind(value, 'namespace') ||
  isKind(value, 'object');
