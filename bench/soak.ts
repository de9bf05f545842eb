/**
 * Whether memory stays flat over 1,000 captured training steps of CIFAR ResNet-20, each with a new batch: the resident set and
 * TensorFlow.js's own counts every 50 steps, and the slope of a line through the resident set once it has settled.
 * `npm run bench -- soak vit` trains another network of `train-step`.
 */
import {spawn} from 'node:child_process';
import {mb} from './measure.js';
import {bundleOurs, Side} from './step-process.js';
import {stepSpecs} from './train-step-networks.js';

const STEPS = 1000;
const EVERY = 50;
/** Arenas have their size, and V8 has collected what the recording left behind. */
const SETTLED = 200;

/** Of the line through the points that minimises the squares of the distances. */
function slope(points: readonly (readonly [x: number, y: number])[]): number {
  const mean = (values: readonly number[]) => values.reduce((sum, v) => sum + v, 0) / values.length;
  const [x0, y0] = [mean(points.map(([x]) => x)), mean(points.map(([, y]) => y))];
  const [xy, xx] = [mean(points.map(([x, y]) => (x - x0) * (y - y0))), mean(points.map(([x]) => (x - x0) ** 2))];
  return xy / xx;
}

export async function benchSoak([name = 'resnet20']: readonly string[]): Promise<void> {
  const spec = stepSpecs[name];
  if (!spec) throw new Error(`soak: no network '${name}'; there are ${Object.keys(stepSpecs).join(', ')}`);
  console.log(`soak: ${STEPS} captured steps of ${spec.title}`);
  const side = new Side('training', spawn(process.execPath, [await bundleOurs('train-step-ours'), name]));
  const points: [number, number][] = [];
  for (let step = EVERY; step <= STEPS; step += EVERY) {
    await side.train(EVERY);
    const {rssBytes, tensors, data, bytes} = await side.memory();
    points.push([step, rssBytes]);
    if (step % 200 === 0 || step === EVERY)
      console.log(
        `  step ${String(step).padStart(4)}: resident ${mb(rssBytes)}; ${tensors} tensors, ${data} data, ${mb(bytes)}`,
      );
  }
  await side.end();
  const bytesPerStep = slope(points.filter(([step]) => step >= SETTLED));
  console.log(`  slope from step ${SETTLED}: ${(bytesPerStep / 1e3).toFixed(2)} kB a step`);
}
