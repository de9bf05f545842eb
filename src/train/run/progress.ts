/** How far a run is. Apart from the run itself, whose types are TensorFlow.js's. */

/** What a person wants to see while it runs. */
export interface RunProgress {
  /** Images of the run so far, and altogether. */
  readonly done: number;
  readonly total: number;
  readonly imagesPerSecond: number;
  readonly epoch: number;
  readonly loss: number | undefined;
  readonly phase: 'training' | 'measuring' | 'preparing';
}
