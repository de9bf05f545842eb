/** THE table of families. A new one is a file beside this and a line here. */

import type {StateDict} from '../../core/tensor.js';
import {type Recipe, recipes} from '../../data/recipe.js';
import type {Architecture} from '../layers.js';
import {cifarResnetFamily} from './cifar-resnet.js';
import type {Family, PublishedNetwork} from './family.js';
import {mobilenetFamily} from './mobilenet.js';
import {mobilenetV2Family} from './mobilenet-v2.js';
import {resnetFamily} from './resnet.js';
import {resnet3x3Family} from './resnet-3x3.js';
import {rvtFamily} from './rvt.js';

/** In the order in which they are tried: ResNets of both kinds share their keys, and those of four stages come first. */
const table = [resnetFamily, resnet3x3Family, mobilenetFamily, mobilenetV2Family, rvtFamily, cifarResnetFamily] as const;
export const families: readonly Family[] = table;

/** `resnet18`, `mobilenet`, …: a network of published size. */
export type ArchName = keyof UnionToIntersection<(typeof table)[number]['published']>;
type UnionToIntersection<U> = (U extends unknown ? (u: U) => void : never) extends (i: infer I) => void ? I : never;
/** Every published network by its name. */
export const archs = Object.fromEntries(families.flatMap(({published}) => Object.entries(published))) as Readonly<
  Record<ArchName, PublishedNetwork>
>;
/** Names of all networks of published size. */
export const archNames = Object.keys(archs) as ArchName[];
export const isArchName = (name: string): name is ArchName => Object.hasOwn(archs, name);

/** The family of a network by its own name: networks of unpublished sizes are described after their family's. */
export function familyNamed(arch: string): Family | undefined {
  const own = families.find(({published}) => Object.hasOwn(published, arch));
  if (own) return own;
  const longest = [...families].sort((a, b) => b.name.length - a.name.length); // mobilenet_v2 begins with mobilenet
  return longest.find(({name}) => arch.startsWith(name));
}

/** Of the families with a family's signature, the one that the shapes under its own names are of. */
export function familyByShapes(family: Family, stateDict: StateDict): Family {
  const alike = families.filter(({signature}) => `${signature}` === `${family.signature}`);
  return alike.find(({fits}) => fits?.(stateDict) ?? true) ?? family;
}

/** What is known of a network's family. */
export function familyOf({family}: Pick<Architecture, 'family'>): Family {
  const found = families.find(({name}) => name === family);
  if (!found) throw new Error(`no family '${family}'; known are ${families.map(({name}) => name).join(', ')}`);
  return found;
}

/** How images are prepared for a family's networks, `imageSize` pixels a side; `overrides` go first. */
export function recipeFor(family: string, imageSize: number, overrides: Partial<Recipe> = {}): Recipe {
  return {...recipes[familyOf({family}).recipe](imageSize), ...overrides};
}
