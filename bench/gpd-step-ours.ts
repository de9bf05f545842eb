/** Our side of `bench/gpd-step.ts`: the trainer of `gpd train` on one random batch. */
import {random} from '../src/core/random.js';
import {float32, type Tensor} from '../src/core/tensor.js';
import {registerOnnxruntimeBackend} from '../src/tfjs/backend/register.js';
import {initialState} from '../src/train/run/initial-state.js';
import {isParameter} from '../src/train/step/parameters/store.js';
import {createTrainer} from '../src/train/step/trainer.js';
import {type GpdStepCase, gpdStepCases, RATIO} from './gpd-step-cases.js';
import {answerLines} from './step-answers.js';

function randomBatch({batch, imageSize, arch}: GpdStepCase): {images: Tensor<'float32'>; labels: number[]} {
  const stream = random('gpd-step');
  const pixels = Float32Array.from({length: batch * 3 * imageSize ** 2}, () => stream.normal());
  const labels = Array.from({length: batch}, () => stream.integer(arch.classes));
  return {images: float32([batch, 3, imageSize, imageSize], pixels), labels};
}

function stepOf(spec: GpdStepCase): {step: () => Promise<number>; parameters: number} {
  const {arch, imageSize} = spec;
  const {form, state} = initialState({arch, imageSize, ratio: RATIO, orepa: true, seed: 1, compat: 'default'});
  const trainer = createTrainer(
    {
      arch,
      imageSize,
      form,
      gpd: {kd: {kind: 'sce', weight: 3}},
      optimizer: {kind: 'sgd', momentum: 0.9, nesterov: false},
      decay: {kind: 'all', weightDecay: 1e-4},
      clipNorm: 5,
      emaDecay: 0.99996,
      compat: 'default',
    },
    {model: state},
  );
  const batch = randomBatch(spec);
  return {
    step: async () => (await trainer.step(batch, {lr: 0.01})).total_loss,
    parameters: [...state].filter(([key]) => isParameter(key)).reduce((sum, [, t]) => sum + t.data.length, 0),
  };
}

await registerOnnxruntimeBackend({threads: 2, smallSteps: 'recorded'});
const {step, parameters} = stepOf(gpdStepCases[process.argv[2]!]!);
await answerLines(step, parameters);
