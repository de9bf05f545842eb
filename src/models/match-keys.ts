/** Every key of a checkpoint against the layers of a network: used, ignored with a reason, or an error that names the nearest match. */
import {GpdError} from '../core/error.js';
import {nearest} from '../core/nearest.js';
import {formatShape, type StateDict, sameShape} from '../core/tensor.js';
import type {Module} from '../reparam/modules.js';
import {type GpdForm, isOptionalAbsent, storageFormOf} from '../reparam/parameters.js';
import {keyOf, type Row, storedShape, storedTensors} from '../reparam/stored-tensors.js';

export interface KeyUse {
  key: string;
  /** Which network reads it. */
  use: 'both' | 'student' | 'teacher' | 'ignored';
  reason?: string;
}

/** Keys outside the network that are known to be harmless. */
const ignorable: readonly [pattern: RegExp, reason: string][] = [[/(^|\.)total_(ops|params)$/, 'left behind by a profiler']];

interface Expected {
  key: string;
  shape: readonly number[];
  row: Row;
  absent: boolean;
}

function expectedKeys(modules: readonly Module[], form: GpdForm): Map<string, Expected> {
  const expected = new Map<string, Expected>();
  for (const m of modules) {
    for (const row of storedTensors(m, storageFormOf(form, m))) {
      const key = keyOf(m, row);
      expected.set(key, {key, shape: storedShape(row, form.ratio), row, absent: isOptionalAbsent(form, m, row)});
    }
  }
  return expected;
}

function missingKeys(expected: Iterable<Expected>, stateDict: StateDict, unused: readonly string[]): void {
  const missing = [...expected].filter((e) => !e.absent && !stateDict.has(e.key)).map((e) => e.key);
  if (missing.length === 0) return;
  const [first] = missing as [string];
  const near = nearest(first, unused);
  const others = missing.length > 1 ? ` and ${missing.length - 1} more tensors` : '';
  throw new GpdError('KEY_MISSING', `the checkpoint has no '${first}'${others}, which the network needs`, {
    at: first,
    hint: near ? `the checkpoint has '${near}', which nothing uses` : 'the checkpoint is incomplete: save it again, whole',
    data: {missing},
  });
}

function unknownKeys(unused: readonly string[], expected: ReadonlyMap<string, Expected>): void {
  if (unused.length === 0) return;
  const [first] = unused as [string];
  const near = nearest(first, expected.keys());
  const others = unused.length > 1 ? ` and ${unused.length - 1} more tensors` : '';
  throw new GpdError('KEY_UNKNOWN', `the network has no place for '${first}'${others}`, {
    at: first,
    hint: `${near ? `the nearest known key is '${near}'; ` : ''}use --ignore-unknown if these tensors do not matter`,
    data: {unknown: unused},
  });
}

function mismatchedShapes(expected: Iterable<Expected>, stateDict: StateDict): void {
  const wrong = [...expected].flatMap((e) => {
    const found = stateDict.get(e.key);
    return found && !sameShape(found.shape, e.shape) ? [{key: e.key, found: found.shape, expected: e.shape}] : [];
  });
  const first = wrong[0];
  if (!first) return;
  const others = wrong.length > 1 ? ` (and ${wrong.length - 1} more)` : '';
  throw new GpdError(
    'SHAPE_MISMATCH',
    `'${first.key}' is ${formatShape(first.found)}, the network needs ${formatShape(first.expected)}${others}`,
    {
      at: first.key,
      hint:
        wrong.length > 3
          ? 'many shapes differ: is the ratio (--ratio) or the architecture (--arch) right?'
          : 'the file is damaged or was edited',
      data: {mismatched: wrong},
    },
  );
}

function useOf(row: Row): KeyUse['use'] {
  if (row.only === 'none') return 'ignored';
  return row.only ?? 'both';
}

/** The loading report. Throws KEY_MISSING, SHAPE_MISMATCH, or (unless they are to be ignored) KEY_UNKNOWN. */
export function matchKeys(modules: readonly Module[], form: GpdForm, stateDict: StateDict, ignoreUnknown: boolean): KeyUse[] {
  const expected = expectedKeys(modules, form);
  const harmless = (key: string) => ignorable.find(([pattern]) => pattern.test(key))?.[1];
  const unused = [...stateDict.keys()].filter((key) => !expected.has(key) && !harmless(key));
  missingKeys(expected.values(), stateDict, unused);
  mismatchedShapes(expected.values(), stateDict);
  if (!ignoreUnknown) unknownKeys(unused, expected);
  return [...stateDict.keys()].map((key): KeyUse => {
    const row = expected.get(key)?.row;
    if (!row) return {key, use: 'ignored', reason: harmless(key) ?? 'unknown, ignored as asked'};
    if (row.only === 'none') return {key, use: 'ignored', reason: 'counts training batches'};
    return {key, use: useOf(row)};
  });
}
