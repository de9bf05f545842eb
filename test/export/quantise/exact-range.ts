/** The weights that this processor computes with exactly: in 8 bits, or in 7 where it cuts off 16-bit sums. */
import {type WeightRange, weightLevels} from '../../../src/export/quantise/affine.js';
import {saturates} from '../../../src/export/quantise/saturation.js';

export async function exactRange(): Promise<{weightRange: WeightRange; level: number}> {
  const weightRange = (await saturates()) ? 'reduced' : 'full';
  return {weightRange, level: weightLevels[weightRange]};
}
