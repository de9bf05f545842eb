/**
 * What makes a run the same to the last bit, whether or not it was interrupted. On the onnxruntime backend that takes three things:
 * the ways in which operations are computed, which are chosen by measuring, are kept with the run; everything is recorded before
 * the first step, in every process; and weights lie in the order of dimensions that was found then.
 */
import {engine} from '@tensorflow/tfjs-core';
import {GpdError} from '../../core/error.js';
import {random} from '../../core/random.js';
import {dictionary, parseJson, SchemaError, text} from '../../core/schema.js';
import {float32} from '../../core/tensor.js';
import {BACKEND_NAME, type OnnxruntimeBackend} from '../../tfjs/backend/backend.js';
import {restoreLayouts, type VariableLayouts, variableLayouts} from '../../tfjs/jit/variable-layouts.js';
import type {Mix, Trainer, TrainingBatch} from '../step/step-config.js';

/** Recordings settle in two or three rounds. */
const MAX_ROUNDS = 8;

const backend = (): OnnxruntimeBackend | undefined =>
  engine().backendName === BACKEND_NAME ? (engine().backend as OnnxruntimeBackend) : undefined;

/** Of this process, as text for a file. */
export const strategiesText = (): string =>
  `${JSON.stringify(Object.fromEntries(backend()?.runtime.chooser.chosen ?? []), null, 1)}\n`;

/** Before anything is computed. `file` is where the text is from. Throws STATE_MISMATCH where it is something else. */
export function useStrategies(content: string, file: string): void {
  try {
    for (const [what, name] of Object.entries(parseJson(content, dictionary(text(100), 100_000)))) {
      backend()?.runtime.chooser.chosen.set(what, name);
    }
  } catch (error) {
    if (!(error instanceof SchemaError)) throw error;
    throw new GpdError('STATE_MISMATCH', `${file} is not what this run writes: ${error.message}`, {
      at: file,
      hint: 'remove it: what is fastest is measured again, and the last bits may be others than those of an unbroken run',
    });
  }
}

export interface WarmUpOptions {
  /** Batch sizes of steps; the most frequent last. */
  readonly sizes: readonly number[];
  /** Whether batches are mixed, or not, or now and then. */
  readonly mixed: readonly boolean[];
  /** Of evaluations. */
  readonly evaluationSize: number | undefined;
  readonly onRound?: (round: number) => void;
}

export class Steady {
  private home: VariableLayouts | undefined;

  /** Steps on noise until none of them compiles anything. The weights are spoilt: load a state, and settle. */
  async warmUp(trainer: Trainer, {sizes, mixed, evaluationSize, onRound}: WarmUpOptions): Promise<void> {
    const found = backend();
    if (!found) return;
    const {statistics} = found.runtime;
    for (let round = 0, before = -1; round < MAX_ROUNDS && before !== statistics.compiled; round++) {
      before = statistics.compiled;
      onRound?.(round);
      for (const size of sizes) for (const mix of mixed) await trainer.step(noise(trainer, size, mix), {lr: 1e-6});
      if (evaluationSize === undefined) continue;
      const {images} = noise(trainer, evaluationSize, false);
      for (const weights of trainer.config.emaDecay === undefined ? (['model'] as const) : (['model', 'ema'] as const))
        await trainer.evaluate(images, weights);
    }
    this.home = variableLayouts();
  }

  /** After weights were loaded, and wherever another kind of step came between: the next one is computed as it always is. */
  settle(): void {
    if (this.home) restoreLayouts(this.home);
  }
}

const MIX: Mix = {kind: 'mixup', lam: 0.5};

function noise({config: {imageSize, arch}}: Trainer, size: number, isMixed: boolean): TrainingBatch {
  const r = random('warm-up');
  const images = float32(
    [size, 3, imageSize, imageSize],
    new Float32Array(size * 3 * imageSize ** 2).map(() => r.normal()),
  );
  const labels = Array.from({length: size}, (_, i) => i % arch.classes);
  return {images, labels, ...(isMixed && {mix: MIX})};
}
