/** timm's names, where they are others than a family's own: `Family.timmName` backwards. */
import type {Family} from '../families/family.js';
import {manifestOf} from '../walk.js';
import type {NameMap} from './name-map.js';

/** The layers of a published member say all names: of these families every width has the same. */
export function timmNames(family: Family): NameMap[] {
  const {timmName, published, signature} = family;
  const member = Object.values(published)[0];
  if (!timmName || !member) return [];
  const foreignLayer = (layer: string) => timmName(`${layer}.weight`).replace(/\.weight$/, '');
  const own = new Map<string, string>();
  for (const {name} of manifestOf(member.build()).modules) own.set(foreignLayer(name), name);
  const rename = (key: string): string | undefined => {
    const dot = key.lastIndexOf('.');
    const name = own.get(key.slice(0, dot));
    return name === undefined ? undefined : `${name}${key.slice(dot)}`;
  };
  return [{family: family.name, title: "timm's names", signature: signature.map(foreignLayer), rename}];
}
