/** A small result of an evaluation, for tests of what is made of results. */
import type {Evaluation, ModelSummary} from '../../src/eval/evaluation.js';

interface Names {
  name?: string;
  className?: string;
  path?: string;
}

const model = (
  name: string,
  form: ModelSummary['form'],
  top1: number,
  {className = 'cat', path = 'cat/1.jpg'}: Names,
): ModelSummary => ({
  name,
  path: name,
  form,
  outputs: {form: 'logits', because: ''},
  without: [],
  warnings: [],
  nonFiniteImages: [],
  images: 200,
  labelled: 200,
  top1,
  top5: 99,
  correct1: 2 * top1,
  correct5: 198,
  top1Interval: [top1 - 5, top1 + 4],
  top5Interval: [96, 99.7],
  crossEntropy: 0.9,
  calibrationError: 4,
  agreement: 98,
  nonFinite: 0,
  size: {nodes: 54, parameters: 1e6, weightBytes: 4e6, fileBytes: 4e6, macs: 4e7, operators: [['Conv', 20]]},
  loadMs: 30,
  imagesPerSecond: 900,
  latency: {p50: 30, p90: 34, p99: 40, histogram: [{low: 30, high: 34, count: 5}]},
  perClass: [{class: className, images: 200, top1, top5: 99}],
  confusions: [{class: className, predicted: 'dog', images: 9}],
  calibration: [{images: 200, confidence: 84, accuracy: 80}],
  worst: [{index: 4, path, class: className, loss: 7, answer: {class: 'dog', confidence: 99}}],
});

export function evaluationOf(names: Names = {}): Evaluation {
  const {name = 'a.onnx', className = 'cat', path = 'cat/1.jpg'} = names;
  const before = model('before.pth (student)', 'student', 80, names);
  const after = model(name, 'onnx', 79.9, names);
  return {
    complete: true,
    images: {total: 201, seen: 201, failed: 1},
    failures: [{path, reason: 'it is cut off'}],
    warnings: [{kind: 'empty-class', count: 1, examples: [path], message: '1 class folder holds no image; it keeps its label'}],
    settings: {
      data: path,
      classes: 1,
      recipe: {resize: 256, interpolation: 'bilinear', crop: 224, mean: [0.5, 0.5, 0.5], std: [1, 1, 1]},
      recipeReason: 'of resnet networks',
      batchSize: 32,
      threads: null,
      provider: {asked: 'auto', used: 'cpu', reason: 'not cuda'},
    },
    baseline: before.name,
    models: [before, after],
    comparisons: [
      {
        a: before.name,
        b: after.name,
        compared: 'logits',
        images: 200,
        agreement: 98,
        nonFinite: 0,
        agreementInterval: [95, 99],
        bothRight: 158,
        onlyA: 2,
        onlyB: 1,
        bothWrong: 39,
        mcnemar: 1,
        difference: {median: 1e-6, p99: 1e-5, max: 2},
        histogram: [
          {low: 0, high: 0, count: 10},
          {low: 1e-6, high: 2e-6, count: 190},
        ],
        worst: [
          {
            index: 3,
            path,
            class: className,
            difference: 2,
            a: {class: className, confidence: 50},
            b: {class: 'dog', confidence: 60},
          },
        ],
      },
    ],
    gates: [{gate: 'min-top1', because: null, model: after.name, bound: 80, value: 79.9, ok: false}],
    ok: false,
    providers: [
      {model: name, explanation: {asked: 'cpu', shares: [{provider: 'cpu', nodes: 54, ms: 3, operators: []}], fallback: []}},
    ],
    timing: {elapsedMs: 9000, imagesPerSecond: 22, waitMs: 100, cpuMs: 17000},
    peakBytes: 3e8,
  };
}
