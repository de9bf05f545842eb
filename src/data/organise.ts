/** Files to labelled samples: class folders as torchvision's ImageFolder reads them, or one flat folder with a file of labels. */
import {GpdError} from '../core/error.js';
import type {Dataset, Sample} from './dataset.js';
import {compareText, type Entry, fileOf, folderOf, isImage, type Listing, some} from './entries.js';
import {classOrder, type LabelFile, labelsOf} from './labels.js';

type Arranged = Pick<Dataset, 'classes' | 'warnings'> & {
  readonly labelled: readonly {entry: Entry; label: number | undefined}[];
};

export function organise(listing: Listing, labels: LabelFile | undefined): Dataset {
  const images = listing.entries.filter(({path}) => isImage(path)).sort((a, b) => byFolderAndName(a.path, b.path));
  const others = listing.entries.filter(({path}) => !isImage(path)).map(({path}) => path);
  if (images.length === 0) throw noImages(listing, others);
  const warnings = [...listing.warnings];
  if (others.length > 0) warnings.push(`${others.length} files that are no images were left out: ${some(others)}`);
  const arranged = isFlat(images, labels) ? flat(images, labels) : inFolders(listing, images, labels);
  const samples = arranged.labelled.map(
    ({entry, label}, index): Sample => ({index, path: `${listing.name}/${entry.path}`, label, read: entry.read}),
  );
  return {
    name: listing.name,
    samples,
    classes: arranged.classes,
    warnings: [...warnings, ...arranged.warnings],
    close: () => listing.close(),
  };
}

function byFolderAndName(a: string, b: string): number {
  return compareText(folderOf(a), folderOf(b)) || compareText(fileOf(a), fileOf(b));
}

function noImages({name, entries}: Listing, others: readonly string[]): GpdError {
  const found = entries.length === 0 ? 'it is empty' : `it has ${others.length} other files: ${some(others)}`;
  return new GpdError('DATASET_INVALID', `${name}: no images were found; ${found}`, {
    at: name,
    hint: 'give a folder or archive with <class>/<image>, or a flat one with a file of labels',
  });
}

/** ILSVRC2012's images as shipped lie in one folder, whose name is no class. */
function isFlat(images: readonly Entry[], labels: LabelFile | undefined): boolean {
  const folders = new Set(images.map(({path}) => folderOf(path)));
  if (folders.size > 1) return false;
  return folders.has('') || labels !== undefined || images.every(({path}) => /^ILSVRC2012_(val|test)_\d+\./.test(fileOf(path)));
}

function flat(images: readonly Entry[], file: LabelFile | undefined): Arranged {
  if (!file) return {labelled: images.map((entry) => ({entry, label: undefined})), classes: [], warnings: []};
  const {labels, classes, warnings} = labelsOf(
    file,
    images.map(({path}) => path),
  );
  return {labelled: images.map((entry, i) => ({entry, label: labels[i]})), classes, warnings};
}

const splitNames = new Set(['train', 'training', 'val', 'valid', 'validation', 'test', 'eval']);
const classOf = (path: string) => path.slice(0, path.indexOf('/'));

function inFolders(listing: Listing, images: readonly Entry[], file: LabelFile | undefined): Arranged {
  const inside = images.filter(({path}) => path.includes('/'));
  const atRoot = images.length - inside.length;
  const warnings = atRoot > 0 ? [`${atRoot} images that are in no class folder were left out`] : [];
  const folders = new Set([...inside.map(({path}) => classOf(path)), ...listing.folders.map((path) => path.split('/')[0]!)]);
  const names = [...folders].sort(compareText);
  refuseSplits(listing.name, names, inside);
  if (file?.byFile) {
    const {labels, classes, ...rest} = labelsOf(
      file,
      inside.map(({path}) => path),
    );
    return {
      labelled: inside.map((entry, i) => ({entry, label: labels[i]})),
      classes,
      warnings: [...warnings, ...rest.warnings],
    };
  }
  const classes = file ? classOrder(file, names) : names;
  const label = new Map(classes.map((name, i) => [name, i]));
  const labelled = inside.map((entry) => ({entry, label: label.get(classOf(entry.path))!}));
  const used = new Set(labelled.map(({label: used}) => used));
  const empty = names.filter((name) => !used.has(label.get(name)!));
  if (empty.length > 0) warnings.push(`${empty.length} class folders hold no image; they keep their labels: ${some(empty)}`);
  // by class, then by folder and name: torchvision walks one class after the other
  return {labelled: labelled.sort((a, b) => a.label - b.label), classes, warnings};
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
  let {entries, folders} = listing;
  for (;;) {
    const images = entries.filter(({path}) => isImage(path));
    const top = images[0]?.path.split('/')[0];
    const isShared = images.every(({path}) => path.startsWith(`${top}/`) && path.split('/').length > 2);
    if (top === undefined || !isShared) return {...listing, entries, folders};
    const cut = (path: string) => path.slice(top.length + 1);
    entries = entries.filter(({path}) => path.startsWith(`${top}/`)).map((entry) => ({...entry, path: cut(entry.path)}));
    folders = folders.filter((path) => path.startsWith(`${top}/`)).map(cut);
  }
}
