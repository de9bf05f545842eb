/**
 * What is known of ILSVRC2012's validation images: their names say which they are, and the true classes of the first of them are facts.
 * That tells a file of labels in the order of the networks from one with the development kit's own class numbers, which is another
 * order: with it every network is at chance level.
 */
import {fileOf} from './entries.js';

/** How ILSVRC2012_validation_ground_truth.txt begins: numbers of the development kit's meta.mat, from 1. */
const KIT = [490, 361, 171, 822, 297, 482, 13, 704];
/** The same images in the order of the networks' outputs, which is that of the synsets, from 0: sea snake, alp, Shetland sheepdog, … */
const NETWORKS = [65, 970, 230, 809, 516, 57, 334, 415];

/** How many outputs a network has for whose order the truth is known. */
export const ILSVRC_CLASSES = 1000;

/** What the numbers of a file are: the kit's, or the networks' order, and from where they count. */
export interface Numbering {
  readonly order: 'kit' | 'networks';
  readonly base: 0 | 1;
}
const numberings: readonly Numbering[] = [
  {order: 'networks', base: 0},
  {order: 'networks', base: 1},
  {order: 'kit', base: 1},
  {order: 'kit', base: 0},
];

const numberIn = (path: string): string | undefined => /^ILSVRC2012_val_0*(\d{1,8})(\.\w+)?$/i.exec(fileOf(path))?.[1];

/** Images of the set by their names, of none of which the class is known here. */
export const areUnknown = (paths: readonly string[]): boolean =>
  paths.some((path) => numberIn(path) !== undefined) && paths.every((path) => placeOf(path) === undefined);

/** Place of an image in the set, from 0; undefined for other images and those whose class is not known here. */
function placeOf(path: string): number | undefined {
  const number = numberIn(path);
  const place = number === undefined ? -1 : Number(number) - 1;
  return place >= 0 && place < KIT.length ? place : undefined;
}

/** The true class in the order of the networks; undefined where it is not known here. */
export function knownClass(path: string): number | undefined {
  const place = placeOf(path);
  return place === undefined ? undefined : NETWORKS[place];
}

const numberAt = ({order, base}: Numbering, place: number): number =>
  order === 'kit' ? KIT[place]! - 1 + base : NETWORKS[place]! + base;

/** The numbering that all known images of a file have; undefined where none of them is known, or they are numbered otherwise. */
export function numberingOf(labelled: Iterable<readonly [path: string, label: number]>): Numbering | undefined {
  let [left, known] = [numberings, 0];
  for (const [path, label] of labelled) {
    const place = placeOf(path);
    if (place === undefined) continue;
    known++;
    left = left.filter((numbering) => numberAt(numbering, place) === label);
  }
  return known > 0 ? left[0] : undefined;
}

/** The same of labels without names, in the order of the images: only the whole beginning tells. */
export const numberingOfLines = (labels: readonly number[]): Numbering | undefined =>
  labels.length < KIT.length
    ? undefined
    : numberings.find((numbering) => KIT.every((_, place) => labels[place] === numberAt(numbering, place)));
