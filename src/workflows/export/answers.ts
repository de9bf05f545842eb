/** Whether what a form says beside its logits follows from them: probabilities, the best classes, and their names. */
import type {Subject} from '../../eval/subject.js';
import {probabilityOperator} from '../../export/preprocess/answers.js';

/** Softmax in float32, and in float16 where the outputs are. */
const TOLERANCE = {float32: 1e-5, float16: 2e-3} as const;

/** `run` gives an output's numbers for a few images, row after row. Gives what is wrong, or undefined; every output has run then. */
export async function checkAnswers(
  {output, classes, model}: Subject,
  run: (output: string) => Promise<Float32Array>,
): Promise<string | undefined> {
  const others = model().graph.outputs.filter((v) => v.name !== output);
  if (others.length === 0) return undefined;
  const given = new Map<string, Float32Array>();
  for (const {name} of others) given.set(name, await run(name));
  const logits = await run(output);
  const tolerance = TOLERANCE[others[0]!.dtype === 'float16' ? 'float16' : 'float32'];
  const wanted = probabilitiesOf[probabilityOperator(model(), output)](logits, classes);
  const probabilities = given.get('probabilities');
  if (probabilities && !probabilities.every((p, i) => Math.abs(p - wanted[i]!) <= tolerance))
    return "'probabilities' are not those of the logits";
  const best = given.get('top_scores');
  const places = given.get('top_classes');
  return best && places && !areBest(probabilities ?? logits, classes, best, places)
    ? "'top_scores' and 'top_classes' are not the best of the logits"
    : undefined;
}

const probabilitiesOf = {Softmax: softmax, Identity: (row: Float32Array) => row, Exp: (row: Float32Array) => row.map(Math.exp)};

/** In float64. */
function softmax(logits: Float32Array, classes: number): Float64Array {
  const result = new Float64Array(logits.length);
  for (let start = 0; start < logits.length; start += classes) {
    const row = logits.subarray(start, start + classes);
    const largest = row.reduce((a, b) => Math.max(a, b), Number.NEGATIVE_INFINITY);
    const sum = row.reduce((total, x) => total + Math.exp(x - largest), 0);
    for (let i = 0; i < classes; i++) result[start + i] = Math.exp(row[i]! - largest) / sum;
  }
  return result;
}

/** [N, classes] against [N, k]: each score is its class's, and the scores are the k largest, best first. */
function areBest(scores: Float32Array, classes: number, best: Float32Array, places: Float32Array): boolean {
  const images = scores.length / classes;
  const k = best.length / images;
  return Array.from({length: images}, (_, n) => n).every((n) => {
    const row = scores.subarray(n * classes, (n + 1) * classes);
    const sorted = row.toSorted().reverse();
    return Array.from({length: k}, (_, i) => n * k + i).every(
      (at, i) => best[at] === sorted[i] && row[places[at]!] === best[at],
    );
  });
}
