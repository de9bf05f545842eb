/** Every key of a checkpoint against the layers of a network: used, ignored with a reason, or an error that names the nearest match. */
import {GpdError} from '../core/error.js';
import {nearest} from '../core/nearest.js';
import {elementCount, formatShape, type StateDict, sameShape} from '../core/tensor.js';
import type {Module} from '../reparam/modules.js';
import {type GpdForm, isOptionalAbsent, storageFormOf} from '../reparam/parameters.js';
import {keyOf, type Row, storedShape, storedTensors} from '../reparam/stored-tensors.js';
import {type Foreign, leaveOut, type NetworkBeside} from './unknown-keys.js';

export interface KeyUse {
  /** As the file has it. */
  key: string;
  /** Which network reads it. */
  use: 'both' | 'student' | 'teacher' | 'ignored';
  reason?: string;
  /** What it was left out by, where the network may then be another one than the checkpoint holds. */
  leftOutBy?: string;
}

/** Keys outside the network that are known to be harmless. */
const ignorable: readonly [pattern: RegExp, reason: string][] = [
  [/(^|\.)total_(ops|params)$/, 'left behind by a profiler'],
  [/^n_averaged$/, 'counts averaged weights'],
];

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
  if (!hasStatistics(stateDict) && missing.every((key) => /\.running_(mean|var)$/.test(key)))
    throw noStatistics(first, missing);
  const near = nearest(first, unused);
  const others = missing.length > 1 ? ` and ${missing.length - 1} more tensors` : '';
  throw new GpdError('KEY_MISSING', `the checkpoint has no '${first}'${others}, which the network needs`, {
    at: first,
    hint: near ? `the checkpoint has '${near}', which nothing uses` : 'the checkpoint is incomplete: save it again, whole',
    data: {missing},
  });
}

const hasStatistics = (stateDict: StateDict): boolean => [...stateDict.keys()].some((key) => key.endsWith('.running_var'));

const noStatistics = (first: string, missing: readonly string[]): GpdError =>
  new GpdError('KEY_MISSING', `its normalisations have no running statistics: there is no '${first}', nor any other`, {
    at: first,
    hint: 'either they are no batch norms but another kind (GroupNorm, InstanceNorm), and it is a network that is not known here; or parameters alone were saved: save model.state_dict(), which has the statistics too',
    data: {missing},
  });

function mismatchedShapes(expected: Iterable<Expected>, stateDict: StateDict): void {
  const wrong = [...expected].flatMap((e) => {
    const found = stateDict.get(e.key);
    const isCounter = e.row.only === 'none' && found && elementCount(found.shape) === 1; // [1] in old files
    return found && !isCounter && !sameShape(found.shape, e.shape) ? [{key: e.key, found: found.shape, expected: e.shape}] : [];
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

/** The names in the file, and what it holds beside the network's tensors. */
export interface FileNames {
  /** Patterns of keys to leave out. */
  readonly ignore: readonly string[];
  /** Keys that have no place under the network's names. */
  readonly foreign: readonly Foreign[];
  /** What the file calls a tensor of the state dict. */
  readonly fileKey: (name: string) => string;
}

/** The loading report. Throws KEY_MISSING, SHAPE_MISMATCH or KEY_UNKNOWN. */
export function matchKeys(
  network: NetworkBeside,
  form: GpdForm,
  stateDict: StateDict,
  {ignore, foreign, fileKey}: FileNames,
): KeyUse[] {
  const expected = expectedKeys(network.modules, form);
  const unused = [...stateDict].flatMap(([name, {shape}]): Foreign[] =>
    expected.has(name) || harmless(name, shape) !== undefined ? [] : [{key: fileKey(name), name, shape}],
  );
  missingKeys(
    expected.values(),
    stateDict,
    unused.map(({name}) => name!),
  );
  mismatchedShapes(expected.values(), stateDict);
  const isHarmless = ({key, shape}: Foreign) => harmless(key, shape) !== undefined;
  const counters = foreign.filter(isHarmless);
  const strange = foreign.filter((one) => !isHarmless(one));
  const leftOut = leaveOut([...unused, ...strange], network, ignore);
  const report = (key: string): KeyUse => {
    const {reason, by} = leftOut.get(key)!;
    return {key, use: 'ignored', reason, ...(by !== undefined && {leftOutBy: by})};
  };
  const own = [...stateDict].map(([name, {shape}]): KeyUse => {
    const key = fileKey(name);
    const row = expected.get(name)?.row;
    if (leftOut.has(key)) return report(key);
    if (!row) return {key, use: 'ignored', reason: harmless(name, shape)!};
    if (row.only === 'none') return {key, use: 'ignored', reason: 'counts training batches'};
    return {key, use: useOf(row)};
  });
  const others = counters.map(({key, shape}): KeyUse => ({key, use: 'ignored', reason: harmless(key, shape)!}));
  return [...own, ...others, ...strange.map(({key}) => report(key))];
}
