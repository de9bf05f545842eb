/** THE table of precisions. */
import {cloneModel} from '../onnx/clone-model.js';
import {half} from './half/half.js';
import {dynamicInt8, staticInt8} from './int8.js';
import type {Precision} from './precision.js';

export const precisions = {
  fp32: {
    suffix: '',
    description: 'float32, as converted',
    bound: {relative: 1e-4, because: 'the same numbers in the same order: what rewriting for a target leaves is rounding'},
    make: async (model) => ({model: cloneModel(model), notes: [], details: {}}),
  },
  fp16: half,
  int8: staticInt8,
  'int8-dynamic': dynamicInt8,
} as const satisfies Record<string, Precision>;
export type PrecisionName = keyof typeof precisions;
export const precisionNames = Object.keys(precisions) as PrecisionName[];
