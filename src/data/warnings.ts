/**
 * What is left out of a set of images, guessed about it, or looks wrong in it: one structure for the terminal, `--json`, reports and
 * the error of `--strict-data`.
 */
import {GpdError} from '../core/error.js';

/** Which of them matter where only the pixels are used: to compare two models, or to calibrate one. */
type Concern = 'images' | 'labels';

const n = (count: number, one: string, many = `${one}s`): string =>
  `${String(count).replace(/\B(?=(\d{3})+(?!\d))/g, ',')} ${count === 1 ? one : many}`;
const were = (count: number): string => (count === 1 ? 'was' : 'were');
const leftOut = (count: number): string => `${were(count)} left out`;

interface Kind {
  readonly concerns: Concern;
  /** A sentence without a full stop; examples come after it. `detail` is what the finder adds. */
  message(count: number, detail: string): string;
}

/** THE table of kinds. */
const kinds = {
  'not-an-image': {
    concerns: 'images',
    message: (count, endings) => `${n(count, 'file')} without an image's ending ${leftOut(count)} (${endings})`,
  },
  'tar-link': {
    concerns: 'images',
    message: (count) =>
      `${n(count, 'link')} in the archive ${leftOut(count)} (tar packs the files themselves with -h --hard-dereference)`,
  },
  'tar-entry': {
    concerns: 'images',
    message: (count, types) => `${n(count, 'entry', 'entries')} of the archive ${leftOut(count)}, no plain files (${types})`,
  },
  'double-name': {
    concerns: 'images',
    message: (count) =>
      `${n(count, 'name')} of the archive ${count === 1 ? 'occurs' : 'occur'} more than once; the last was taken`,
  },
  'special-file': {
    concerns: 'images',
    message: (count) => `${n(count, 'device, pipe or socket', 'devices, pipes or sockets')} ${leftOut(count)}`,
  },
  'dead-link': {concerns: 'images', message: (count) => `${n(count, 'link')} to no file ${leftOut(count)}`},
  'link-loop': {
    concerns: 'images',
    message: (count) => `${n(count, 'link')} back to a folder around it ${were(count)} not followed`,
  },
  'beside-classes': {
    concerns: 'images',
    message: (count) => `${n(count, 'image')} in no class folder ${leftOut(count)}`,
  },
  'beside-folders': {
    concerns: 'labels',
    message: (count, folder) =>
      `${n(count, 'image lies', 'images lie')} beside folders of images in '${folder}', which was taken for the only class`,
  },
  'no-archive': {
    concerns: 'images',
    message: (count) =>
      `${n(count, 'file')} with an archive's ending ${count === 1 ? 'is no archive' : 'are no archives'} and ${leftOut(count)}`,
  },
  'split-taken': {
    concerns: 'images',
    message: (_, taken) => `of several sets '${taken}' was taken (name the folder or file of another to have that); left out`,
  },
  'other-images': {
    concerns: 'images',
    message: (count, kept) => `${n(count, 'image')} ${leftOut(count)}: of each sample one is taken (${kept})`,
  },
  'some-labels': {
    concerns: 'labels',
    message: (count) => `${n(count, 'image')} ${count === 1 ? 'has' : 'have'} no label, where others have one`,
  },
  'label-column': {
    concerns: 'labels',
    message: (_, taken) => `of several labels '${taken}' was taken (--label-column names another); left out`,
  },
  'texts-no-labels': {
    concerns: 'labels',
    message: (count) => `${n(count, 'text')} beside the images ${were(count)} not taken for labels: they are captions`,
  },
  'other-batches': {
    concerns: 'images',
    message: (count) => `the test batch was taken, ${n(count, 'training batch', 'training batches')} ${leftOut(count)}`,
  },
  'labels-not-read': {
    concerns: 'labels',
    message: (_, why) => `the file of labels was not used: ${why}`,
  },
  'unused-labels': {
    concerns: 'labels',
    message: (count, file) => `${n(count, 'label')} in ${file} ${count === 1 ? 'names' : 'name'} no image of the set`,
  },
  'imagenet-subset': {
    concerns: 'labels',
    message: (count) =>
      `the set has ${n(count, 'class', 'classes')} of ImageNet's 1,000, told by their synsets; answers are judged among all 1,000 outputs`,
  },
  'label-base': {
    concerns: 'labels',
    message: (_, what) => what,
  },
  'known-labels': {
    concerns: 'labels',
    message: (count, truth) =>
      `${n(count, 'image')} of ILSVRC2012 ${count === 1 ? 'has another label' : 'have other labels'} than in the order of the networks of 1,000 classes (${truth})`,
  },
  'unchecked-order': {
    concerns: 'labels',
    message: (count) =>
      `${n(count, 'label')} of ILSVRC2012's images ${were(count)} taken to be in the networks' order; the development kit has another, and only images 1 to 8 would tell`,
  },
  'no-labels': {
    concerns: 'labels',
    message: () => 'no image has a label: accuracy cannot be measured (give --labels, or sort the images into class folders)',
  },
  'restricted-classes': {
    concerns: 'labels',
    message: (count) => `answers are judged among the ${n(count, 'class', 'classes')} of the set alone (--restrict-classes)`,
  },
  'class-subset': {
    concerns: 'labels',
    message: (_, what) => what,
  },
  'class-order': {
    concerns: 'labels',
    message: (_, what) => what,
  },
  'empty-class': {
    concerns: 'labels',
    message: (count) =>
      `${n(count, 'class folder')} ${count === 1 ? 'holds no image; it keeps its label' : 'hold no image; they keep their labels'}`,
  },
  'numbered-classes': {
    concerns: 'labels',
    message: (_, order) =>
      `the numbers in the names of the class folders are in the order of text, as torchvision has them: ${order}. For the order of numbers pad them with zeros, or list the folders in a file for --labels`,
  },
} as const satisfies Readonly<Record<string, Kind>>;

/** What a warning is about; scripts may rely on these names. */
export type DataWarningKind = keyof typeof kinds;

/** One kind of thing that was noticed in a set of images. */
export interface DataWarning {
  readonly kind: DataWarningKind;
  /** How many files, entries, classes or labels. */
  readonly count: number;
  /** At most two of them. */
  readonly examples: readonly string[];
  /** One sentence with the count, without the examples. */
  readonly message: string;
}

const MAX_EXAMPLES = 2;

/** What the finder added, for `mergeWarnings`. */
const details = new WeakMap<DataWarning, string>();

/** A warning about `things`, their names or only their number; none where there are none. */
export function warnings(kind: DataWarningKind, things: readonly string[] | number, detail = ''): DataWarning[] {
  const [count, examples] = typeof things === 'number' ? [things, []] : [things.length, things.slice(0, MAX_EXAMPLES)];
  return count === 0 ? [] : [warningOf(kind, count, {examples, detail})];
}

function warningOf(
  kind: DataWarningKind,
  count: number,
  {examples, detail}: {examples: readonly string[]; detail: string},
): DataWarning {
  const warning = {kind, count, examples, message: (kinds[kind] as Kind).message(count, detail)};
  details.set(warning, detail);
  return warning;
}

/** One warning of each kind and detail, where a set was put together from several. */
export function mergeWarnings(all: readonly DataWarning[]): DataWarning[] {
  const merged = new Map<string, DataWarning>();
  for (const warning of all) {
    const detail = details.get(warning) ?? '';
    const key = `${warning.kind} ${detail}`;
    const {count = 0, examples = []} = merged.get(key) ?? {};
    const both = {examples: [...examples, ...warning.examples].slice(0, MAX_EXAMPLES), detail};
    merged.set(key, warningOf(warning.kind, count + warning.count, both));
  }
  return [...merged.values()];
}

/** Where a run has several sets. */
export interface WarningOfSet extends DataWarning {
  /** The path of the set. */
  readonly set: string;
}
export const warningsOf = (set: string, all: readonly DataWarning[]): WarningOfSet[] =>
  all.map((warning) => ({set, ...warning}));

/** `3 images in no class folder were left out: a.jpg, b.jpg and 1 more`, after the name of the set where it has one. */
export function warningText(warning: DataWarning | WarningOfSet): string {
  const {message, examples, count} = warning;
  const rest = count - examples.length;
  const shown = examples.length === 0 ? '' : `: ${examples.join(', ')}${rest > 0 ? ` and ${n(rest, 'more', 'more')}` : ''}`;
  return `${'set' in warning ? `${warning.set}: ` : ''}${message}${shown}`;
}

/** Without what is about labels, where those are not used. */
export const aboutImages = (all: readonly DataWarning[]): DataWarning[] =>
  all.filter(({kind}) => kinds[kind].concerns === 'images');

/** Throws DATASET_INVALID with all of them: `--strict-data`. */
export function refuseWarnings(name: string, all: readonly DataWarning[]): void {
  if (all.length === 0) return;
  throw new GpdError('DATASET_INVALID', `${name}: ${all.map(warningText).join('; ')}`, {
    at: name,
    hint: 'mend the set, or leave --strict-data away to go on with a warning',
    data: {warnings: all},
  });
}
