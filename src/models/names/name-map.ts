/** Other names for a known network: those of another library, or of a network that was put together anew. */

export interface NameMap {
  /** Of the family that it is about. */
  readonly family: string;
  /** Whose names they are, as evidence and messages say it. */
  readonly title: string;
  /** Layers that every such network has below its prefix, under these names: keys without their last part. */
  readonly signature: readonly string[];
  /** The family's own name of a tensor; undefined where it has none. */
  rename(key: string): string | undefined;
}
