/** The K largest of a stream, however long it is. */
export class Largest<T extends {key: number}> {
  private readonly kept: T[] = [];

  constructor(
    private readonly capacity: number,
    initial: readonly T[] = [],
  ) {
    for (const item of initial) this.add(item);
  }

  /** The smallest key that would be kept. */
  get threshold(): number {
    return this.kept.length < this.capacity ? Number.NEGATIVE_INFINITY : this.kept.at(-1)!.key;
  }
  add(item: T): void {
    if (!(item.key > this.threshold)) return;
    const at = this.kept.findIndex((other) => other.key < item.key);
    this.kept.splice(at < 0 ? this.kept.length : at, 0, item);
    if (this.kept.length > this.capacity) this.kept.pop();
  }
  /** Largest first; of equal keys the first that came. */
  items(): readonly T[] {
    return this.kept;
  }
}
