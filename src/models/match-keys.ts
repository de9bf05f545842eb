/** Every key of a checkpoint against the layers of a network: used, ignored with a reason, or an error that names the nearest match. */
import {GpdError} from '../core/error.js';
import {nearest} from '../core/nearest.js';
import {elementCount, formatShape, type StateDict, sameShape} from '../core/tensor.js';
import type {Module} from '../reparam/modules.js';
import {type GpdForm, isOptionalAbsent, storageFormOf} from '../reparam/parameters.js';
import {keyOf, type Row, storedShape, storedTensors} from '../reparam/stored-tensors.js';
import {type Foreign, leaveOut} from './unknown-keys.js';

export interface KeyUse {
  key: string;
  /** Which network reads it. */
  use: 'both' | 'student' | 'teacher' | 'ignored';
  reason?: string;
  /** The pattern that it was left out by: the network is then another one than the checkpoint holds. */
  leftOutBy?: string;
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

/** A counter, not weights under its name. */
const harmless = (key: string, shape: readonly number[]): string | undefined =>
  elementCount(shape) === 1 ? ignorable.find(([pattern]) => pattern.test(key))?.[1] : undefined;

/**
 * The loading report. `ignore` are patterns of keys to leave out, `beside` the keys that lie outside of `stateDict`. Throws KEY_MISSING,
 * SHAPE_MISMATCH or KEY_UNKNOWN.
 */
export function matchKeys(
  network: {name: string; modules: readonly Module[]},
  form: GpdForm,
  stateDict: StateDict,
  {ignore, beside}: {ignore: readonly string[]; beside: readonly Foreign[]},
): KeyUse[] {
  const expected = expectedKeys(network.modules, form);
  const unused = [...stateDict].flatMap(([key, {shape}]) =>
    expected.has(key) || harmless(key, shape) !== undefined ? [] : [{key, shape}],
  );
  const unusedKeys = unused.map(({key}) => key);
  missingKeys(expected.values(), stateDict, unusedKeys);
  mismatchedShapes(expected.values(), stateDict);
  const leftOut = leaveOut([...unused, ...beside], network, ignore);
  const report = (key: string): KeyUse => {
    const leftOutBy = leftOut.get(key)!;
    return {key, use: 'ignored', reason: `left out by --ignore ${leftOutBy}`, leftOutBy};
  };
  const own = [...stateDict].map(([key, {shape}]): KeyUse => {
    const row = expected.get(key)?.row;
    if (leftOut.has(key)) return report(key);
    if (!row) return {key, use: 'ignored', reason: harmless(key, shape)!};
    if (row.only === 'none') return {key, use: 'ignored', reason: 'counts training batches'};
    return {key, use: useOf(row)};
  });
  return [...own, ...beside.map(({key}) => report(key))];
}
