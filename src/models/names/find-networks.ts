/** Where known networks stand among the names of a file: the prefixes under which all keys of a signature are there. */
import type {Family} from '../families/family.js';
import {families} from '../families/index.js';
import {nameMaps} from './index.js';
import type {NameMap} from './name-map.js';

/** One network: which tensors, under whose names. */
export interface FoundNetwork {
  readonly family: Family;
  readonly map: NameMap;
  /** Of the names without transparent parts: '' or `model.`, with its dot. */
  readonly prefix: string;
  /** How many tensors below the prefix have a place. */
  readonly covered: number;
}

/** The layer that tells classes apart, under a family's own names. */
export function classifierOf(family: Family): string {
  return Object.values(family.published)[0]?.build().last ?? 'fc';
}

/** The layers that show a network; its classifier may lie elsewhere. */
const signatureOf = (family: Family, map: NameMap): readonly string[] => {
  const last = `${classifierOf(family)}.`;
  return map.signature.filter((layer) => !(map.rename(`${layer}.weight`) ?? '').startsWith(last));
};

function prefixesOf(layers: ReadonlySet<string>, signature: readonly string[]): string[] {
  const [first, ...others] = signature;
  if (first === undefined) return [];
  const prefixes: string[] = [];
  for (const layer of layers) {
    if (layer !== first && !layer.endsWith(`.${first}`)) continue;
    const prefix = layer.slice(0, layer.length - first.length);
    if (others.every((other) => layers.has(prefix + other))) prefixes.push(prefix);
  }
  return prefixes;
}

function coverage(names: ReadonlyMap<string, unknown>, prefix: string, map: NameMap): number {
  let covered = 0;
  for (const name of names.keys())
    if (name.startsWith(prefix) && map.rename(name.slice(prefix.length)) !== undefined) covered++;
  return covered;
}

/** More networks than these in one file are not looked at one by one. */
const MAX_NETWORKS = 16;

/** One for each prefix: of several names that fit there, those under which most tensors have a place, else the first of the table. */
export function findNetworks(names: ReadonlyMap<string, unknown>): FoundNetwork[] {
  const layers = new Set([...names.keys()].map((name) => name.slice(0, Math.max(0, name.lastIndexOf('.')))));
  const best = new Map<string, FoundNetwork>();
  for (const map of nameMaps()) {
    const family = families.find(({name}) => name === map.family)!;
    for (const prefix of prefixesOf(layers, signatureOf(family, map)).slice(0, MAX_NETWORKS)) {
      const covered = coverage(names, prefix, map);
      if (covered > (best.get(prefix)?.covered ?? 0)) best.set(prefix, {family, map, prefix, covered});
    }
  }
  return [...best.values()];
}
