/**
 * Images of a run that could not be read: which they were, and what takes their places. The order of a run stays a function of seed, epoch
 * and place: an image that cannot be read keeps its place in the set, in this process and the next, also after it was removed.
 */
import {random} from '../../core/random.js';
import {maybe, object, oneOf, type Reader, text, whole} from '../../core/schema.js';
import type {Dataset, Sample} from '../../data/dataset.js';
import type {Failure} from '../../data/loader.js';

/** A line of unreadable.jsonl. */
export interface UnreadableImage {
  readonly set: 'training' | 'validation';
  readonly path: string;
  readonly reason: string;
  /** In the whole set, before `--samples`. */
  readonly index: number;
  readonly label?: number;
}

export const unreadableImage: Reader<UnreadableImage> = object<UnreadableImage>({
  ...{set: oneOf('training', 'validation'), path: text(65_536), reason: text(65_536), index: whole()},
  label: maybe(whole()) as Reader<number>,
});

const gap = ({path, label, reason}: UnreadableImage, index: number): Sample => ({
  ...{index, path, label},
  read: () => Promise.reject(new Error(`it was removed after it could not be read: ${reason}`)),
});

/** The set as it was when the run began: images that were removed since are there again, as gaps. */
export function withGaps(
  dataset: Dataset,
  unreadable: readonly UnreadableImage[],
): {dataset: Dataset; gaps: ReadonlySet<number>} {
  const there = new Set(dataset.samples.map(({path}) => path));
  const removed = unreadable.filter(({set, path}) => set === 'training' && !there.has(path) && there.add(path));
  if (removed.length === 0) return {dataset, gaps: new Set()};
  const inOrder = removed.toSorted((a, b) => a.index - b.index);
  const gaps = new Set<number>();
  const samples: Sample[] = [];
  for (let here = 0, gone = 0; here < dataset.samples.length || gone < inOrder.length; ) {
    const [index, image] = [samples.length, inOrder[gone]];
    const isGap = image !== undefined && (image.index <= index || here === dataset.samples.length);
    samples.push(isGap ? gap(image, index) : {...dataset.samples[here]!, index});
    if (isGap) gaps.add(index);
    if (isGap) gone++;
    else here++;
  }
  return {dataset: {...dataset, samples}, gaps};
}

/** Places of an epoch whose images cannot be read. */
export interface Substitutes {
  /** Images that are known to be unreadable; more may be added at any time. */
  readonly unreadable: ReadonlySet<number>;
  readonly images: number;
  readonly seed: number;
  readonly epoch: number;
}

/**
 * What takes the place of an image, one after the other until one can be read: the set from a place on that seed, epoch and image decide.
 * Known ones are passed over, which changes nothing but the time.
 */
export function substitutesFor(index: number, {unreadable, images, seed, epoch}: Substitutes): () => number | undefined {
  const start = random(`instead ${seed}/${epoch}/${index}`).integer(images);
  let tried = 0;
  return () => {
    while (tried < images) {
      const candidate = (start + tried++) % images;
      if (!unreadable.has(candidate)) return candidate;
    }
    return undefined;
  };
}

/** The images that a run could not read, each once. */
export class UnreadableList {
  readonly all: UnreadableImage[] = [];
  private readonly known = new Set<string>();

  constructor(
    saved: readonly UnreadableImage[],
    private readonly record: (image: UnreadableImage) => void,
  ) {
    for (const image of saved) this.remember(image);
  }

  /** Records those that are new, and gives them back. `indexOf`: their places in the whole set. */
  add(
    set: UnreadableImage['set'],
    failures: readonly Failure[],
    {samples}: Dataset,
    indexOf: (index: number) => number,
  ): UnreadableImage[] {
    const images = failures.map(({path, reason, index}): UnreadableImage => {
      const {label} = samples[index]!;
      return {set, path, reason, index: indexOf(index), ...(label !== undefined && {label})};
    });
    const fresh = images.filter((image) => this.remember(image));
    fresh.forEach(this.record);
    return fresh;
  }

  private remember(image: UnreadableImage): boolean {
    const key = `${image.set} ${image.path}`;
    if (this.known.has(key)) return false;
    this.known.add(key);
    this.all.push(image);
    return true;
  }
}
