/** How large the images of a run are, where a model takes any size. */
import type {RecipeName} from '../data/recipe.js';
import {type ImageNormalisation, USUAL_SIDE} from './image-input.js';
import {atSide, type Subject} from './subject.js';

/** CIFAR's 32 and Tiny ImageNet's 64 are shown as they are. */
export const MAX_UNSCALED = 64;

/** `note`: where the size is from, for people; empty where a model or the user says it. */
export interface Settled {
  readonly subjects: readonly Subject[];
  readonly note: string;
}

const isOpen = ({input}: Subject): boolean => input.anySize === 'guessed';

/** Only the images can tell. */
export const needsImages = (subjects: readonly Subject[]): boolean => subjects.every(isOpen);

/**
 * Models that take any size get that of the others. Where all do, small images are shown as they are (`shown`: pixels a side of a square one), and
 * others as most networks see them.
 */
export function settleSides(subjects: readonly Subject[], recipe?: RecipeName, shown?: number): Settled {
  const open = subjects.filter(isOpen);
  if (open.length === 0) return {subjects, note: ''};
  const other = subjects.find((s) => !isOpen(s));
  const isShown = shown !== undefined && (recipe === 'cifar' || (recipe === undefined && shown <= MAX_UNSCALED));
  const side = other?.input.side ?? (isShown ? shown : USUAL_SIDE);
  const from = other ? `as ${other.name} takes` : isShown ? 'as the images are' : 'as most networks take';
  const resized = subjects.map((s) => (isOpen(s) ? atSide(s, side) : s));
  const many = open.map(({name}) => name).join(', ');
  return {subjects: resized, note: `${side} px, ${from}: ${many} can take any size, --image-size says which`};
}

/** The models know what their batches went through: those that take bytes undo it. */
export const withNormalisation = (subjects: readonly Subject[], normalised: ImageNormalisation): Subject[] =>
  subjects.map((s) => ({...s, input: {...s.input, normalised}}));
