/** A batch norm divides by √(variance + ε): a stored variance for which that is no positive number makes every output NaN or infinite. */
import {GpdError} from '../core/error.js';
import {type StateDict, toFloat64} from '../core/tensor.js';
import type {Module} from '../reparam/modules.js';

/** Reads the variances of all batch norms, a few thousand numbers. Throws WEIGHTS_NOT_FINITE, which names the tensor. */
export function checkVariances(modules: readonly Module[], stateDict: StateDict): void {
  for (const m of modules) {
    if (m.kind !== 'batchNorm') continue;
    for (const leaf of ['running_var', 'tiny_running_var']) {
      const key = `${m.name}.${leaf}`;
      const source = stateDict.get(key);
      if (source) checkVariance(key, toFloat64(source.read()).data, m.eps);
    }
  }
}

function checkVariance(key: string, variances: Float64Array, eps: number): void {
  const rounded = Math.fround(eps); // as it is stored: a variance of −ε divides by zero
  const at = variances.findIndex((v) => !(v + rounded > 0 && v < Number.POSITIVE_INFINITY));
  if (at < 0) return;
  const value = variances[at]!;
  const [problem, hint] =
    value < 0
      ? ['a variance is never negative', 'the weights were quantised, averaged or edited wrongly, or the file is damaged']
      : ['a variance is a finite number', 'the training diverged, or the file is damaged'];
  throw new GpdError('WEIGHTS_NOT_FINITE', `'${key}' has ${value} at element ${at}: ${problem}`, {
    at: key,
    hint: `${hint}: use an earlier checkpoint`,
  });
}
