/** THE table of names under which the known networks are stored. A new library's names are a file beside this and a line here. */
import {families} from '../families/index.js';
import {huggingFaceResnet} from './hugging-face-resnet.js';
import type {NameMap} from './name-map.js';
import {numberedChildren} from './numbered-children.js';
import {timmNames} from './timm.js';

/** `NameMap.title` of a family's own names. */
export const OWN_NAMES = 'its own names';

/** Each family's own names come first: they need no map. */
const own: readonly NameMap[] = families.map(({name, signature}) => ({
  family: name,
  title: OWN_NAMES,
  signature,
  rename: (key) => key,
}));

let known: readonly NameMap[] | undefined;

/** Made at first use: timm's names follow from the layers of a network. */
export function nameMaps(): readonly NameMap[] {
  known ??= [...own, huggingFaceResnet, numberedChildren, ...families.flatMap(timmNames)];
  return known;
}
