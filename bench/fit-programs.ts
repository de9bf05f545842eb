/** Programs in TensorFlow.js's own words, as users write them: `model.fit` with nothing that reads each batch. */
import * as tf from '@tensorflow/tfjs-core';
import * as layers from '@tensorflow/tfjs-layers';

/** What an epoch cost and gave. */
export interface EpochCost {
  cpuSeconds: number;
  loss: number;
}
export interface Fit {
  stack(): layers.layers.Layer[];
  shape: number[];
  loss: string;
  samples: number;
  batch: number;
  epochs: number;
  validationSplit?: number;
  /** Integers below this, where the first layer takes indices. */
  vocabulary?: number;
}

const {
  conv2d,
  dense,
  flatten,
  maxPooling2d,
  embedding,
  conv1d,
  globalMaxPooling1d,
  batchNormalization,
  lstm,
  gru,
  simpleRNN,
  bidirectional,
} = layers.layers;
const glorot = (seed: number) => layers.initializers.glorotUniform({seed});
const [classes, yesOrNo] = ['sparseCategoricalCrossentropy', 'binaryCrossentropy'];
const head = (units = 10) => dense({units, activation: 'softmax', kernelInitializer: glorot(9)});
const decision = () => dense({units: 1, activation: 'sigmoid', kernelInitializer: glorot(9)});
const kernels = {kernelInitializer: glorot(1), recurrentInitializer: glorot(2)};
const sequence = {shape: [20, 3], loss: yesOrNo!, samples: 640, batch: 32, epochs: 4};
const mlp = (units: number) => () => [
  dense({units, inputShape: [20], activation: 'relu', kernelInitializer: glorot(1)}),
  head(),
];

export const fits: Readonly<Record<string, Fit>> = {
  dense: {stack: mlp(32), shape: [20], loss: classes!, samples: 8000, batch: 16, epochs: 4},
  'dense-1024': {stack: mlp(1024), shape: [20], loss: classes!, samples: 3200, batch: 32, epochs: 4},
  iris: {
    stack: () => [dense({units: 16, inputShape: [4], activation: 'sigmoid', kernelInitializer: glorot(1)}), head(3)],
    ...{shape: [4], loss: classes!, samples: 150, batch: 32, epochs: 20, validationSplit: 0.2},
  },
  lstm: {stack: () => [lstm({units: 12, inputShape: [20, 3], ...kernels}), decision()], ...sequence},
  'lstm-64': {stack: () => [lstm({units: 64, inputShape: [20, 3], ...kernels}), decision()], ...sequence},
  'lstm-short': {
    stack: () => [lstm({units: 12, inputShape: [20, 3], ...kernels}), decision()],
    ...sequence,
    samples: 64,
    batch: 16,
    epochs: 8,
  },
  gru: {stack: () => [gru({units: 12, inputShape: [20, 3], ...kernels}), decision()], ...sequence},
  'gru-short': {
    stack: () => [gru({units: 12, inputShape: [20, 3], ...kernels}), decision()],
    ...sequence,
    samples: 64,
    batch: 16,
    epochs: 8,
  },
  rnn: {stack: () => [simpleRNN({units: 12, inputShape: [20, 3], ...kernels}), decision()], ...sequence},
  bilstm: {
    stack: () => [
      bidirectional({layer: lstm({units: 12, ...kernels}) as never, inputShape: [20, 3], mergeMode: 'concat'}),
      decision(),
    ],
    ...sequence,
  },
  convnet: {
    stack: () => [
      conv2d({inputShape: [14, 14, 1], filters: 8, kernelSize: 3, activation: 'relu', kernelInitializer: glorot(1)}),
      maxPooling2d({poolSize: 2}),
      conv2d({filters: 16, kernelSize: 3, activation: 'relu', kernelInitializer: glorot(2)}),
      batchNormalization(),
      flatten(),
      head(),
    ],
    ...{shape: [14, 14, 1], loss: classes!, samples: 320, batch: 16, epochs: 3},
  },
  text: {
    stack: () => [
      embedding({inputDim: 200, outputDim: 16, inputLength: 24, embeddingsInitializer: glorot(1)}),
      conv1d({filters: 8, kernelSize: 3, activation: 'relu', kernelInitializer: glorot(2)}),
      globalMaxPooling1d({}),
      decision(),
    ],
    ...{shape: [24], vocabulary: 200, loss: yesOrNo!, samples: 96, batch: 16, epochs: 4},
  },
};

function data({shape, samples, loss, vocabulary}: Fit): [tf.Tensor, tf.Tensor] {
  const x = vocabulary
    ? tf.tidy(() => tf.floor(tf.randomUniform([samples, ...shape], 0, vocabulary, 'float32', 1)))
    : tf.randomNormal([samples, ...shape], 0, 1, 'float32', 1);
  const below = loss === yesOrNo ? 2 : shape[0] === 4 ? 3 : 10;
  const y = tf.tidy(() => tf.floor(tf.randomUniform([samples], 0, below, 'float32', 2)));
  return [x, loss === yesOrNo ? tf.reshape(y, [samples, 1]) : y];
}

/** What each epoch costs, on the current backend. */
export async function train(fit: Fit): Promise<EpochCost[]> {
  const [x, y] = data(fit);
  const model = layers.sequential({layers: fit.stack()});
  model.compile({optimizer: tf.train.adam(0.001), loss: fit.loss, metrics: ['accuracy']});
  const costs: EpochCost[] = [];
  let start = process.cpuUsage();
  const {epochs, batch, validationSplit} = fit;
  const onEpochEnd = (_: number, logs?: {loss?: number}) => {
    const {user, system} = process.cpuUsage(start);
    start = process.cpuUsage();
    costs.push({cpuSeconds: (user + system) / 1e6, loss: logs!.loss!});
  };
  const options = {epochs, batchSize: batch, shuffle: false, verbose: 0 as const, callbacks: {onEpochEnd}};
  await model.fit(x, y, {...options, ...(validationSplit && {validationSplit})});
  return costs;
}
