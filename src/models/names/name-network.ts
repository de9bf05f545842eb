/**
 * From the names in a file to a network under its family's own names: parts that say how it was run are dropped, the prefix under which a
 * known network stands is found, its names are translated, and a classifier that lies beside it is taken in. What is in doubt is an
 * error that names the flag.
 */
import {GpdError} from '../../core/error.js';
import {shellWord} from '../../core/shell.js';
import type {StateDict} from '../../core/tensor.js';
import type {Family} from '../families/family.js';
import type {Foreign} from '../unknown-keys.js';
import {describeNetworks, refuseContrastive, refuseNoClassifier, refuseUnknown} from './doubts.js';
import {classifierOf, type FoundNetwork, findNetworks} from './find-networks.js';
import {type HeadBeside, headBeside} from './head-beside.js';
import {OWN_NAMES} from './index.js';
import {type NamedTensor, plainNames} from './transparent-parts.js';

/** What was concluded about the names, for evidence. */
export interface NameFinding {
  readonly what: string;
  readonly value: string;
  readonly from: string;
}

export interface NamedNetwork {
  readonly family: Family;
  /** What stands before the network's names: '' or `model.`. */
  readonly prefix: string;
  /** The network's tensors under the family's own names, in the file's order. */
  readonly stateDict: StateDict;
  /** What the file calls a tensor of `stateDict`. */
  readonly fileKey: (name: string) => string;
  /** Everything else. */
  readonly foreign: readonly Foreign[];
  readonly findings: readonly NameFinding[];
}

/** `student`, `student.` and `module.student.` are the same. */
function asPrefix(asked: string, known: Iterable<string>): string {
  const dotted = asked === '' || asked.endsWith('.') ? asked : `${asked}.`;
  for (const name of known) if (name.startsWith(dotted)) return dotted;
  return dotted.replace(/(^|\.)(?:module|_\w*mod(?:ule)?)\.(?=(.*))/g, '$1');
}

function choose(found: readonly FoundNetwork[], stored: StateDict, asked: string | undefined): FoundNetwork {
  const under = asked === undefined ? found : found.filter(({prefix}) => prefix === asked);
  const wanted = under.length > 0 || asked === undefined ? under : found.filter(({prefix}) => prefix.startsWith(asked));
  const [one, ...others] = wanted;
  if (!one) {
    if (found.length === 0) throw refuseUnknown(stored);
    throw new GpdError('KEY_MISSING', `no known network stands under --prefix ${asked}`, {
      hint: `there is ${describeNetworks(found)}`,
      data: {prefixes: found.map(({prefix}) => prefix)},
    });
  }
  if (others.length === 0) return one;
  throw new GpdError('ARCH_AMBIGUOUS', `${wanted.length} networks stand in it: ${describeNetworks(wanted)}`, {
    hint: `say which is meant: ${wanted.map(({prefix}) => commandFor(prefix)).join(', or ')}`,
    data: {prefixes: wanted.map(({prefix}) => prefix)},
  });
}

const commandFor = (prefix: string): string => `gpd convert FILE --prefix ${prefix === '' ? "''" : shellWord(prefix)}`;

interface Parts {
  readonly own: Map<string, NamedTensor>;
  /** Below the prefix, but without a place under these names. */
  readonly unplaced: NamedTensor[];
  readonly outside: NamedTensor[];
}

/** `others` are the networks elsewhere: below this one's prefix too, where they have a longer one. */
function partsOf(
  stored: StateDict,
  names: ReadonlyMap<string, string>,
  {prefix, map}: FoundNetwork,
  others: readonly FoundNetwork[],
): Parts {
  const parts: Parts = {own: new Map(), unplaced: [], outside: []};
  for (const [name, key] of names) {
    const tensor = {key, name, source: stored.get(key)!};
    const isBelow = name.startsWith(prefix) && !networkOf(tensor, others);
    const own = isBelow ? map.rename(name.slice(prefix.length)) : undefined;
    if (own !== undefined && !parts.own.has(own)) parts.own.set(own, tensor);
    else (isBelow ? parts.unplaced : parts.outside).push(tensor);
  }
  return parts;
}

const networkOf = ({name}: NamedTensor, others: readonly FoundNetwork[]): FoundNetwork | undefined =>
  others.find(({prefix}) => name.startsWith(prefix));

/** Throws ARCH_UNKNOWN, ARCH_AMBIGUOUS and KEY_MISSING. */
export function nameNetwork(stored: StateDict, askedPrefix?: string): NamedNetwork {
  const {keys: names, dropped} = plainNames(stored);
  const asked = askedPrefix === undefined ? undefined : asPrefix(askedPrefix, names.keys());
  const found = findNetworks(names);
  const network = choose(found, stored, asked);
  const {family, prefix, map} = network;
  const others = found.filter((other) => other !== network);
  const parts = partsOf(
    stored,
    names,
    network,
    others.filter((other) => other.prefix.startsWith(prefix)),
  );
  const classifier = classifierOf(family);
  const rest = [...parts.unplaced, ...parts.outside.filter((t) => !networkOf(t, others))];
  const head = headBeside({own: parts.own, classifier, rest});
  if (head === 'none') throw refuseNoClassifier(family, prefix);
  if (head === 'own' && asked === undefined) refuseContrastive(prefix, parts.own.keys(), classifier);
  const beside = head === 'own' ? undefined : head;
  const taken = new Map([...parts.own, ...(beside?.tensors ?? [])]);
  return {
    family,
    prefix,
    stateDict: new Map([...taken].map(([name, {source}]) => [name, source])),
    fileKey: (name) => taken.get(name)?.key ?? name,
    foreign: foreignOf(parts, prefix, others, beside),
    findings: findingsOf({prefix, dropped, asked: askedPrefix, title: map.title, head: beside}),
  };
}

/** What the network has no place for. Below its prefix, and around a head that was taken in, it takes part in the computation. */
function foreignOf(parts: Parts, prefix: string, others: readonly FoundNetwork[], head: HeadBeside | undefined): Foreign[] {
  const used = new Set([...(head?.tensors.values() ?? [])].map(({key}) => key));
  const placed = new Set([...parts.own.values()].map(({name}) => firstPart(name.slice(prefix.length))));
  const isPlaced = ({name}: NamedTensor) => placed.has(firstPart(name.slice(prefix.length)));
  const isInHead = ({name}: NamedTensor) => head !== undefined && name.startsWith(head.part);
  const all = [
    ...parts.unplaced.map((t) => foreign(t, isPlaced(t) || isInHead(t) ? 'inside' : undefined)),
    ...parts.outside.map((t) => foreign(t, isInHead(t) ? 'inside' : 'beside', networkOf(t, others))),
  ];
  return all.filter(({key}) => !used.has(key));
}

const firstPart = (name: string): string => name.slice(0, `${name}.`.indexOf('.'));

const foreign = ({key, name, source: {shape}}: NamedTensor, where: Foreign['where'], other?: FoundNetwork): Foreign => ({
  ...{key, name, shape},
  ...(where && {where}),
  ...(other && {network: other.prefix}),
});

function findingsOf(f: {
  prefix: string;
  dropped: readonly string[];
  asked: string | undefined;
  title: string;
  head: {from: string; to: string} | undefined;
}): NameFinding[] {
  const all: (NameFinding | false | undefined)[] = [
    f.dropped.length > 0 && {what: 'left out of names', value: f.dropped.join(', '), from: 'how the network was run'},
    f.prefix !== '' && {
      what: 'prefix',
      value: f.prefix,
      from: f.asked === undefined ? 'where a known network stands' : '--prefix',
    },
    f.title !== OWN_NAMES && {what: 'names', value: f.title, from: 'the keys'},
    f.head && {
      what: 'classifier',
      value: f.head.from,
      from: `taken for '${f.head.to}': the only layer of its kind beside the network`,
    },
  ];
  return all.filter((finding) => !!finding);
}
