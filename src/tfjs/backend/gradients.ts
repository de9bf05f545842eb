/**
 * Gradients that TensorFlow.js takes through far more memory than they need, for any backend: its own multiply by arrays of ones
 * that the host makes, and tile statistics to the size of the images.
 */
import {
  add,
  broadcast_util,
  broadcastTo,
  div,
  type GradConfig,
  mul,
  type NamedAttrMap,
  neg,
  registerGradient,
  reshape,
  rsqrt,
  step,
  sub,
  sum,
  type Tensor,
  unregisterGradient,
  util,
} from '@tensorflow/tfjs-core';

type Axes = {axis: number | number[]};
const axesOf = (x: Tensor, attrs: NamedAttrMap) => util.parseAxisParam((attrs as unknown as Axes).axis, x.shape);

/** dy again with ones where a reduction folded. */
function unfolded(dy: Tensor, x: Tensor, axes: readonly number[]): Tensor {
  return reshape(
    dy,
    x.shape.map((d, i) => (axes.includes(i) ? 1 : d)),
  );
}

const sumGradient: GradConfig = {
  kernelName: 'Sum',
  inputsToSave: ['x'],
  gradFunc(dy, [x], attrs) {
    return {x: () => broadcastTo(unfolded(dy as Tensor, x!, axesOf(x!, attrs)), x!.shape as [number])};
  },
};

const meanGradient: GradConfig = {
  kernelName: 'Mean',
  inputsToSave: ['x'],
  gradFunc(dy, [x], attrs) {
    const axes = axesOf(x!, attrs);
    const count = axes.reduce((n, d) => n * x!.shape[d]!, 1);
    return {x: () => broadcastTo(unfolded(div(dy as Tensor, count), x!, axes), x!.shape as [number])};
  },
};

/** y = (x − μ)·γ/√(σ² + ε) + β: everything but dx follows from Σ dy and Σ dy·(x − μ). */
const batchNormGradient: GradConfig = {
  kernelName: 'FusedBatchNorm',
  inputsToSave: ['x', 'mean', 'variance', 'scale'],
  gradFunc(upstream, [x, mean, variance, scale], attrs) {
    const dy = upstream as Tensor;
    const {varianceEpsilon} = attrs as unknown as {varianceEpsilon: number};
    const axes = broadcast_util.getReductionAxes(mean!.shape, x!.shape);
    const folded = (t: Tensor) => reshape(sum(t, axes), mean!.shape);
    const inverse = () => rsqrt(add(variance!, varianceEpsilon)); // of the deviation
    const factor = () => (scale ? mul(inverse(), scale) : inverse());
    const along = () => folded(mul(dy, sub(x!, mean!)));
    return {
      x: () => mul(dy, factor()),
      mean: () => mul(neg(factor()), folded(dy)),
      variance: () => mul(mul(mul(factor(), -0.5), mul(inverse(), inverse())), along()),
      scale: () => mul(along(), inverse()),
      offset: () => folded(dy),
    };
  },
};

/** dy is often one number a channel here (of a variance), and twice it is still that. */
const squareGradient: GradConfig = {
  kernelName: 'Square',
  inputsToSave: ['x'],
  gradFunc(dy, [x]) {
    return {x: () => mul(mul(dy as Tensor, 2), x!)};
  },
};

/** y is needed anyway by what comes after it; x then by nobody. */
const reluGradient: GradConfig = {
  kernelName: 'Relu',
  outputsToSave: [true],
  gradFunc(dy, [y]) {
    return {x: () => mul(dy as Tensor, step(y!))};
  },
};

/** In place of TensorFlow.js's own, which must be loaded. */
export function registerGradients(): void {
  for (const config of [sumGradient, meanGradient, squareGradient, reluGradient, batchNormGradient]) {
    unregisterGradient(config.kernelName);
    registerGradient(config);
  }
}
