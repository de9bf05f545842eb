/** How much a model may ask for at once: checked before there is any memory for it. */
import {GpdError} from '../core/error.js';

/** Numbers in one batch of images: 4 GiB as float32, a thousand photographs of 600 pixels. */
const MAX_NUMBERS = 2 ** 30;

/** Throws SHAPE_MISMATCH for no images at all, and LIMIT_EXCEEDED for more than any machine is asked for. `at` is the file. */
export function checkBatch(batch: number, side: number, at: string): void {
  const shape = `${batch} × 3 × ${side} × ${side}`;
  if (!(batch >= 1 && side >= 1)) {
    const hint = 'export it again with one image a batch, or with any number of them';
    throw new GpdError('SHAPE_MISMATCH', `${at}: takes ${shape} numbers, which is no image at all`, {at, hint});
  }
  if (batch * 3 * side * side > MAX_NUMBERS) {
    const hint = 'use smaller batches or images: --batch-size, or export the model again for others';
    throw new GpdError('LIMIT_EXCEEDED', `${at}: a batch would be ${shape} numbers, more than ${MAX_NUMBERS}`, {at, hint});
  }
}
