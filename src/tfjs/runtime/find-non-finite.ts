/** Which kernel made the first NaN or infinity: a graph that gave one is run again with every intermediate value as a result. */
import {GpdError} from '../../core/error.js';
import {callText, typeText} from '../lowering/describe.js';
import type {Plan} from '../lowering/plan.js';
import type {LazyCall, LazyData, LazyValue} from '../lowering/value.js';

/** What the numbers of a value look like. */
export interface ValueStatistics {
  type: string;
  min: number;
  max: number;
  mean: number;
  nan: number;
  infinite: number;
}

export const allFinite = (data: LazyData): boolean => {
  if (!(data instanceof Float32Array || data instanceof Float64Array)) return true;
  let sum = 0;
  for (const v of data) sum += v - v; // 0 for a finite number, NaN for the others
  return sum === 0;
};

/** Minimum, maximum and mean are of the finite numbers. */
export function valueStatistics(v: LazyValue, data: LazyData): ValueStatistics {
  const s = {type: typeText(v), min: Number.POSITIVE_INFINITY, max: Number.NEGATIVE_INFINITY, mean: 0, nan: 0, infinite: 0};
  let finite = 0;
  for (const x of data) {
    if (Number.isNaN(x)) s.nan++;
    else if (!Number.isFinite(x)) s.infinite++;
    else {
      finite++;
      s.min = Math.min(s.min, x);
      s.max = Math.max(s.max, x);
      s.mean += (x - s.mean) / finite;
    }
  }
  return s;
}

const statisticsText = ({type, min, max, mean, nan, infinite}: ValueStatistics): string => {
  const bad = [...(nan > 0 ? [`${nan} NaN`] : []), ...(infinite > 0 ? [`${infinite} infinite`] : [])];
  const finite = min <= max ? `${min.toPrecision(4)} … ${max.toPrecision(4)}, mean ${mean.toPrecision(4)}` : 'nothing finite';
  return [type, finite, ...bad].join(', ');
};

export interface NonFinite {
  /** Undefined where a number that was given is not finite. */
  call: LazyCall | undefined;
  inputs: ValueStatistics[];
  outputs: ValueStatistics[];
}

/** So many values are asked for in one run: all at once would keep every activation twice. */
const AT_ONCE = 64;

/** `compute` gives the numbers of intermediate values of the plan, for the same inputs as before. */
export function findNonFinite(
  {calls, leaves}: Plan,
  given: readonly LazyData[],
  compute: (wanted: readonly LazyValue[]) => LazyData[],
): NonFinite | undefined {
  const bad = leaves.findIndex((_, i) => !allFinite(given[i]!));
  if (bad >= 0) return {call: undefined, inputs: [], outputs: [valueStatistics(leaves[bad]!, given[bad]!)]};
  for (let start = 0; start < calls.length; start += AT_ONCE) {
    const part = calls.slice(start, start + AT_ONCE);
    const outputs = part.flatMap((call) => call.outputs);
    const numbers = compute(outputs);
    const at = outputs.findIndex((_, i) => !allFinite(numbers[i]!));
    if (at < 0) continue;
    const call = outputs[at]!.producer ?? part.find((c) => c.outputs.includes(outputs[at]!))!;
    const inputs = compute(call.inputs);
    return {
      call,
      inputs: call.inputs.map((v, i) => valueStatistics(v, inputs[i]!)),
      outputs: [valueStatistics(outputs[at]!, numbers[at]!)],
    };
  }
  return undefined;
}

export function nonFiniteError({call, inputs, outputs}: NonFinite): GpdError {
  const result = outputs.map(statisticsText).join('; ');
  if (!call) {
    return new GpdError('ENGINE_FAILED', `a number that the step is given is not finite: ${result}`, {
      hint: 'look at the batch and at what the step before has written',
    });
  }
  const attributes = Object.keys(call.attrs).length > 0 ? ` ${JSON.stringify(call.attrs)}` : '';
  const lines = [
    `${callText(call)}${attributes} made the first number that is not finite`,
    ...inputs.map((s, i) => `  input ${i}: ${statisticsText(s)}`),
    `  result: ${result}`,
  ];
  return new GpdError('ENGINE_FAILED', lines.join('\n'), {
    at: call.kernel,
    hint: 'a smaller learning rate, a larger ε, or a log or division that needs a bound',
    data: {kernel: call.kernel, inputs, outputs},
  });
}
