/** How the images of a run are prepared: one recipe for all models, chosen from what the networks are. */
import {GpdError} from '../core/error.js';
import {type Recipe, type RecipeName, recipes} from '../data/recipe.js';
import {recipeFor} from '../models/families/index.js';
import {MAX_UNSCALED} from './settle-size.js';
import type {Subject} from './subject.js';

export interface RecipeChoice {
  recipe: Recipe;
  reason: string;
}

type Prepared = Pick<Subject, 'name' | 'path' | 'family'> & {readonly input: Pick<Subject['input'], 'side'>} & Partial<
    Pick<Subject, 'normalises'>
  >;

/** For a network that normalises its images itself. */
const asTheyAre = {mean: [0, 0, 0], std: [1, 1, 1]} as const;

const recipeOf = ({family, normalises}: Prepared, side: number): Recipe =>
  recipeFor(family!, side, normalises ? asTheyAre : {});

/** Throws SHAPE_MISMATCH where two networks were trained on differently prepared images. */
export function chooseRecipe(
  subjects: readonly Prepared[],
  asked: RecipeName | undefined,
  overrides: Partial<Recipe> = {},
): RecipeChoice {
  const {side} = subjects[0]!.input;
  const changed = Object.keys(overrides);
  const choice = asked
    ? {recipe: {...recipes[asked](side), ...normalisationFor(subjects)}, reason: `asked for: ${asked}`}
    : fromNetworks(subjects, side);
  const note = changed.length > 0 ? `, with its own ${changed.join(', ')}` : '';
  return {recipe: {...choice.recipe, ...overrides}, reason: choice.reason + note};
}

/** Throws SHAPE_MISMATCH where one network normalises its images and another does not. */
function normalisationFor(subjects: readonly Prepared[]): Partial<Recipe> {
  const known = subjects.filter((s) => s.family !== undefined);
  const own = known.find((s) => s.normalises);
  const other = known.find((s) => !s.normalises);
  if (own && other) {
    throw new GpdError('SHAPE_MISMATCH', `${own.name} normalises its images itself, ${other.name} does not`, {
      at: other.path,
      hint: 'evaluate them one by one: no preparation suits both',
    });
  }
  return own ? asTheyAre : {};
}

function fromNetworks(subjects: readonly Prepared[], side: number): RecipeChoice {
  const known = subjects.filter((s) => s.family !== undefined);
  const [first] = known;
  if (!first) {
    const guess = side <= MAX_UNSCALED ? 'cifar' : 'cnn';
    return {recipe: recipes[guess](side), reason: `guessed from ${side} px, no model says what it is: ${guess}`};
  }
  normalisationFor(subjects);
  const recipe = recipeOf(first, side);
  const other = known.find((s) => JSON.stringify(recipeOf(s, side)) !== JSON.stringify(recipe));
  if (other) {
    const problem = `${first.name} (${first.family}) and ${other.name} (${other.family}) were trained on differently prepared images`;
    const hint = 'evaluate them one by one, or choose one preparation for both with --recipe';
    throw new GpdError('SHAPE_MISMATCH', problem, {at: other.path, hint});
  }
  const own = first.normalises ? ', not normalised: the network does it itself' : '';
  return {recipe, reason: `of ${first.family} networks${own}`};
}

/** `short side 256 bilinear, crop 224, mean 0.485 0.456 0.406, std …` */
export function describeRecipe({resize, interpolation, crop, mean, std, order}: Recipe): string {
  const size = resize === undefined ? 'as they are' : `short side ${resize} ${interpolation}`;
  const colours = order === 'bgr' && 'blue first';
  return [size, crop !== undefined && `crop ${crop}`, `mean ${mean.join(' ')}`, `std ${std.join(' ')}`, colours]
    .filter(Boolean)
    .join(', ');
}
