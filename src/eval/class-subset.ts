/** Sets of some of a model's classes: ImageNet-A, -R and -100, Imagenette, a folder of three of ten. Their names tell which outputs they are. */
import {GpdError} from '../core/error.js';
import type {Dataset} from '../data/dataset.js';
import {some} from '../data/entries.js';
import {ILSVRC_CLASSES} from '../data/ilsvrc-validation.js';
import {imagenetClasses} from '../data/imagenet-classes.js';
import {imagenetSynsets} from '../data/imagenet-synsets.js';
import {warnings, warningText} from '../data/warnings.js';
import {ownClassNames, spelledAlike, withPlaces} from './class-order.js';
import type {Subject} from './subject.js';

type Classifier = Pick<Subject, 'name' | 'path' | 'metadata' | 'classes'>;

/** What the outputs of a network may be called, and by whom. */
function* namesOf(model: Classifier): Generator<{names: readonly string[]; whose: string}> {
  const own = ownClassNames(model);
  if (own) yield {names: own, whose: 'the names in the model'};
  if (model.classes !== ILSVRC_CLASSES) return;
  yield {names: imagenetSynsets, whose: "ImageNet's synsets"};
  yield {names: imagenetClasses, whose: "ImageNet's names"};
  // ImageNet-V2's folders; others are in the order of text, as torchvision has them
  yield {names: imagenetClasses.map((_, i) => String(i)), whose: "ImageNet's numbers"};
}

/** Of each class its output; undefined where one has none, or two, or the same as another. */
function placesIn(names: readonly string[], classes: readonly string[]): readonly number[] | undefined {
  const at = new Map<string, number>();
  for (const [i, name] of names.entries()) at.set(spelledAlike(name), at.has(spelledAlike(name)) ? -1 : i);
  const places = classes.map((name) => at.get(spelledAlike(name)) ?? -1);
  return places.includes(-1) || new Set(places).size !== places.length ? undefined : places;
}

/** The set with labels that are outputs of the model, where its classes are some of the model's by name, or ImageNet's folders by number. */
export function amongOutputs(model: Classifier, set: Dataset): Dataset {
  const {classes} = set;
  const isNumbered = classes.every((name) => /^\d+$/.test(name));
  if (classes.length === 0 || classes.length > model.classes || (classes.length === model.classes && !isNumbered)) return set;
  for (const {names, whose} of namesOf(model)) {
    const places = placesIn(names, classes);
    if (!places) continue;
    const what = `the set has ${classes.length} of the model's ${model.classes} classes, found by ${whose}; answers among all ${model.classes} count`;
    const said = classes.length === model.classes ? [] : warnings('class-subset', classes.length, what);
    const kept = set.warnings.filter(({kind}) => kind !== 'numbered-classes');
    return withPlaces({...set, warnings: [...kept, ...said]}, places, names);
  }
  return set;
}

/** Throws SHAPE_MISMATCH where the set knows its classes, and they are not as many as the model's. */
export function checkClasses(model: Classifier, {classes, warnings: noticed}: Dataset): void {
  const {name, path, classes: outputs} = model;
  if (classes.length === 0 || classes.length === outputs) return;
  const said = noticed.map((warning) => `. In the set, ${warningText(warning)}`).join('');
  throw new GpdError(
    'SHAPE_MISMATCH',
    `${name} tells ${outputs} classes apart, the images have ${classes.length}${others(model, classes)}`,
    {
      at: path,
      hint: `give the classes of the images in the order of the model’s outputs with --labels${said}`,
    },
  );
}

/** Which folders are too many: those of no name that is known of the outputs. */
function others(model: Classifier, classes: readonly string[]): string {
  for (const {names, whose} of namesOf(model)) {
    const [known, own] = [names, classes].map((list) => new Set(list.map(spelledAlike)));
    const extra = classes.filter((name) => !known!.has(spelledAlike(name)));
    if (2 * extra.length > classes.length) continue; // other names altogether
    const missing = classes.length < names.length ? names.filter((name) => !own!.has(spelledAlike(name))) : [];
    const quoted = (list: readonly string[]) => some(list.map((text) => `'${text}'`));
    return [
      extra.length > 0 ? `: ${quoted(extra)} ${extra.length === 1 ? 'is' : 'are'} not among ${whose}` : '',
      missing.length > 0 ? `; missing: ${quoted(missing)}` : '',
    ].join('');
  }
  return '';
}
