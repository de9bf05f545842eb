/**
 * Images per second of a plain training step (SGD with momentum, cross-entropy, training batch norm) of four networks: ours beside PyTorch,
 * each in a process of its own with two threads, in turns. Beside each round the machine's GEMM peak is measured by onnxruntime;
 * a step is counted as three forward passes. PyTorch
 * multiplies matrices with the BLAS that it finds: Debian's default is the reference one, ten times slower than libopenblas0, and the
 * library in use is printed. `npm run bench -- train-step resnet20 vit` measures those alone.
 */
import {spawn} from 'node:child_process';
import {manifestOf, networkMacs, Walk} from '../src/models/walk.js';
import {gemmMeter} from './gemm-meter.js';
import {mb, median, range} from './measure.js';
import {bundleOurs, Side} from './step-process.js';
import {hasTorch, python} from './step-torch.js';
import {type StepSpec, stepSpecs} from './train-step-networks.js';
import {torchProgram} from './train-step-torch.js';

const ROUNDS = 7;
const WARM_UP = 4; // ours: the step runs, is recorded, and once more where a slot has found its layout

/** Multiply-accumulates of the forward pass of one input. */
function forwardMacs({arch, shape}: StepSpec): number {
  if (shape.length === 3) return networkMacs(manifestOf(arch, shape[1]!).records, 1);
  const nothing = new Proxy({}, {get: () => () => ({})}) as never;
  const walk = new Walk(arch, nothing, nothing);
  arch.network(walk, {value: {}, shape});
  return networkMacs(walk.records, 1);
}

async function measure(name: string, spec: StepSpec, bundle: string, meter: () => number, withTorch: boolean): Promise<void> {
  const {batch, classes, shape, steps} = spec;
  const ours = new Side('our side', spawn(process.execPath, [bundle, name]));
  const torchArguments = ['-c', torchProgram, name, ...[batch, classes, ...shape].map(String)];
  const theirs = withTorch ? new Side('PyTorch', spawn(python, torchArguments)) : undefined;
  const losses = [(await ours.train(WARM_UP)).loss, (await theirs?.train(WARM_UP))?.loss];
  const [our, their, peak]: [number[], number[], number[]] = [[], [], []];
  for (let round = 0; round < ROUNDS; round++) {
    our.push((batch * steps) / (await ours.train(steps)).seconds);
    if (theirs) their.push((batch * steps) / (await theirs.train(steps)).seconds);
    peak.push(meter());
  }
  const [{peakBytes: ourPeak}, {peakBytes: theirPeak, blas = []} = {}] = [await ours.end(), await theirs?.end()];
  const share = (rates: readonly number[]) => `${((median(rates) * 6 * forwardMacs(spec) * 100) / median(peak)).toFixed(0)} %`;
  const rate = (rates: readonly number[]) => `${range(rates, 1)} images/s, ${share(rates)} of the GEMM peak`;
  console.log(
    `${name}: ${spec.title}; median (least … most) of ${ROUNDS} rounds; GEMM peak ${(median(peak) / 1e9).toFixed(0)} GFLOP/s`,
  );
  console.log(`  ours     ${rate(our)}, ${mb(ourPeak)}; loss after ${WARM_UP} steps ${losses[0]!.toFixed(3)}`);
  if (!theirPeak) return;
  console.log(`  PyTorch  ${rate(their)}, ${mb(theirPeak)}; loss after ${WARM_UP} steps ${losses[1]!.toFixed(3)}`);
  console.log(`           its matrix products by ${blas.join(', ')}`);
  const ratios = our.map((v, i) => v / their[i]!);
  console.log(`  ratio    ${range(ratios, 2)} of the speed, ${(ourPeak / theirPeak).toFixed(2)} of the memory`);
}

export async function benchTrainStep(filter: readonly string[]): Promise<void> {
  const unknown = filter.find((name) => !(name in stepSpecs));
  if (unknown) throw new Error(`train-step: no network '${unknown}'; there are ${Object.keys(stepSpecs).join(', ')}`);
  const withTorch = hasTorch();
  if (!withTorch)
    console.log('train-step: PyTorch is not installed (Debian: python3-torch, python3-torchvision); our side alone');
  const [bundle, meter] = [await bundleOurs('train-step-ours'), await gemmMeter()];
  for (const [name, spec] of Object.entries(stepSpecs)) {
    if (filter.length === 0 || filter.includes(name)) await measure(name, spec, bundle, meter, withTorch);
  }
}
