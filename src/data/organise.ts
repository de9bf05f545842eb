/** Files to labelled samples: class folders as torchvision's ImageFolder reads them, or one flat folder with a file of labels. */
import {GpdError} from '../core/error.js';
import {numberedClasses} from './class-numbers.js';
import type {Dataset, Sample} from './dataset.js';
import {
  compareText,
  type Entry,
  enterFolder,
  fileOf,
  folderOf,
  imageExtensions,
  isImage,
  type Listing,
  some,
} from './entries.js';
import {ILSVRC_CLASSES, knownClass, numberingOf} from './ilsvrc-validation.js';
import {imagenetSubset} from './imagenet-subset.js';
import {kitNumbers, type LabelContext} from './label-base.js';
import type {LabelFile} from './label-file.js';
import {classOrder, labelsOf, namesFolders} from './labels.js';
import {type DataWarning, warnings, warningText} from './warnings.js';

type Arranged = Pick<Dataset, 'classes' | 'classesListed' | 'warnings'> & {
  readonly labelled: readonly {entry: Entry; label: number | undefined}[];
};

/** Throws DATASET_INVALID where there are no images, and for labels that do not fit them. */
export function organise(listing: Listing, labels: LabelFile | undefined, context: LabelContext = {}): Dataset {
  const images = listing.entries.filter(({path}) => isImage(path)).sort((a, b) => byFolderAndName(a.path, b.path));
  const others = listing.entries.filter(({path}) => !isImage(path)).map(({path}) => path);
  if (images.length === 0) throw noImages(listing, others);
  const arranged = isFlat(images, labels) ? flat(images, labels, context) : inFolders(listing, images, labels, context);
  const samples = arranged.labelled.map(
    ({entry, label}, index): Sample => ({index, path: `${listing.name}/${entry.path}`, label, read: entry.read}),
  );
  return {
    name: listing.name,
    samples,
    classes: arranged.classes,
    ...(arranged.classesListed && {classesListed: true}),
    warnings: [
      ...listing.warnings,
      ...warnings('not-an-image', others, endingsOf(others)),
      ...arranged.warnings,
      ...labelWarnings(arranged.labelled, context),
    ],
    close: () => listing.close(),
  };
}

/** `100 .heic, 1 .txt`, most frequent first. */
function endingsOf(paths: readonly string[]): string {
  const counts = new Map<string, number>();
  for (const path of paths) {
    const ending = /\.[^.]+$/.exec(fileOf(path))?.[0] ?? 'without ending';
    counts.set(ending, (counts.get(ending) ?? 0) + 1);
  }
  const sorted = [...counts].sort((a, b) => b[1] - a[1] || compareText(a[0], b[0]));
  return some(sorted.map(([ending, count]) => `${count} ${ending}`));
}

/** None has a label; or, for networks of ImageNet's classes, some have another one than they should. */
function labelWarnings(labelled: Arranged['labelled'], {outputs}: LabelContext): DataWarning[] {
  if (labelled.every(({label}) => label === undefined)) return warnings('no-labels', labelled.length);
  if (outputs !== ILSVRC_CLASSES) return [];
  const truth = ({entry}: (typeof labelled)[number]) => knownClass(entry.path);
  const wrong = labelled.filter((item) => truth(item) !== undefined && item.label !== undefined && truth(item) !== item.label);
  const found = wrong.length > 0 ? `${truth(wrong[0]!)} for the first` : '';
  return warnings(
    'known-labels',
    wrong.map(({entry}) => entry.path),
    found,
  );
}

function byFolderAndName(a: string, b: string): number {
  return compareText(folderOf(a), folderOf(b)) || compareText(fileOf(a), fileOf(b));
}

function noImages({name, entries, warnings: said}: Listing, others: readonly string[]): GpdError {
  const files = entries.length === 0 ? 'it has no files' : `it has ${others.length} other files: ${some(others)}`;
  const found = entries.length === 0 && said.length === 0 ? 'it is empty' : [files, ...said.map(warningText)].join('; ');
  const inside = INSIDE.find(([ending]) => others.some((path) => ending.test(path)))?.[1];
  return new GpdError('DATASET_INVALID', `${name}: no images were found; ${found}`, {
    at: name,
    hint:
      inside ??
      `give a folder or archive with <class>/<image>, or a flat one with a file of labels; images end in ${imageExtensions.join(' ')}`,
  });
}

/** What images lie in, where a set has none of its own. */
const INSIDE: readonly (readonly [ending: RegExp, hint: string])[] = [
  [
    /\.(tar|tar\.\w+|tgz|tbz2?|txz|zip)$/i,
    'images may lie in the archives inside: unpack each into a folder, which is its class',
  ],
  [/\.tfrecords?$|-\d{5}-of-\d{5}$/i, 'TFRecord files are not read: write their images into class folders'],
];

/** ILSVRC2012's images as shipped lie in one folder, whose name is no class. */
function isFlat(images: readonly Entry[], labels: LabelFile | undefined): boolean {
  const folders = new Set(images.map(({path}) => folderOf(path)));
  if (folders.size > 1) return false;
  return folders.has('') || labels !== undefined || images.every(({path}) => /^ILSVRC2012_(val|test)_\d+\./.test(fileOf(path)));
}

function flat(images: readonly Entry[], file: LabelFile | undefined, context: LabelContext): Arranged {
  if (!file) return {labelled: images.map((entry) => ({entry, label: undefined})), classes: [], warnings: []};
  const {labels, ...rest} = labelsOf(
    file,
    images.map(({path}) => path),
    context,
  );
  return {labelled: images.map((entry, i) => ({entry, label: labels[i]})), ...rest};
}

const splitNames = new Set(['train', 'training', 'val', 'valid', 'validation', 'test', 'eval']);
const classOf = (path: string) => path.slice(0, path.indexOf('/'));

function inFolders(listing: Listing, images: readonly Entry[], file: LabelFile | undefined, context: LabelContext): Arranged {
  const inside = images.filter(({path}) => path.includes('/'));
  const beside = warnings(
    'beside-classes',
    images.filter(({path}) => !path.includes('/')).map(({path}) => path),
  );
  const folders = new Set([...inside.map(({path}) => classOf(path)), ...listing.folders.map((path) => path.split('/')[0]!)]);
  const names = [...folders].sort(compareText);
  refuseSplits(listing.name, names, inside);
  if (file?.byFile && !namesFolders(file, names)) {
    const {labels, ...rest} = labelsOf(
      file,
      inside.map(({path}) => path),
      context,
    );
    const labelled = inside.map((entry, i) => ({entry, label: labels[i]}));
    return {labelled, classes: rest.classes, warnings: [...beside, ...rest.warnings]};
  }
  if (!file) refuseKitFolders(listing.name, inside, context);
  const known = file ? undefined : imagenetSubset(names, context.outputs);
  const classes = file ? classOrder(file, names) : (known?.classes ?? names);
  const label = new Map(classes.map((name, i) => [name, i]));
  const labelled = inside.map((entry) => ({entry, label: label.get(classOf(entry.path))!}));
  const used = new Set(labelled.map(({label: used}) => used));
  const empty = names.filter((name) => !used.has(label.get(name)!));
  return {
    labelled: labelled.sort((a, b) => a.label - b.label), // then by folder and name: torchvision walks one class after the other
    classes,
    classesListed: file !== undefined,
    warnings: [
      ...beside,
      ...besideFolders(names, inside),
      ...warnings('empty-class', empty),
      ...(known?.warnings ?? (file ? [] : numberedClasses(names))),
    ],
  };
}

/** Of one class: images at its top, where others lie in two folders or more inside, look as if they hid the classes. */
function besideFolders([only, ...others]: readonly string[], images: readonly Entry[]): DataWarning[] {
  if (only === undefined || others.length > 0) return [];
  const folders = new Set(images.map(({path}) => folderOf(path)));
  const stray = images.filter(({path}) => folderOf(path) === only).map(({path}) => path);
  return folders.size > 2 ? warnings('beside-folders', stray, only) : [];
}

/** ILSVRC2012's validation images in folders that are called as the development kit numbers the classes. */
function refuseKitFolders(name: string, images: readonly Entry[], {outputs = 0}: LabelContext): void {
  if (outputs < ILSVRC_CLASSES) return; // whoever trains a network on them may number its classes as he likes
  const numbered = images.map(({path}) => [path, Number(classOf(path))] as const);
  if (numberingOf(numbered)?.order === 'kit') throw kitNumbers(name);
}

function refuseSplits(name: string, classes: readonly string[], images: readonly Entry[]): void {
  const nested = images.every(({path}) => path.split('/').length > 2);
  if (!nested || !classes.every((c) => splitNames.has(c.toLowerCase()))) return;
  throw new GpdError('DATASET_INVALID', `${name}: holds whole sets (${classes.join(', ')}), not classes`, {
    at: name,
    hint: `name the one to use, for example ${name}/${classes.at(-1)}`,
  });
}

/** An archive of a set's folder: `val/<class>/<file>` is read as `<class>/<file>`. */
export function withoutTopFolder(listing: Listing): Listing {
  for (let inner = listing; ; ) {
    const images = inner.entries.filter(({path}) => isImage(path));
    const top = images[0]?.path.split('/')[0];
    const isShared = images.every(({path}) => path.startsWith(`${top}/`) && path.split('/').length > 2);
    if (top === undefined || !isShared) return inner;
    inner = enterFolder(inner, top, {others: true}); // what lies beside it is no image, and is counted as such
  }
}
