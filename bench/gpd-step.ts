/**
 * Images per second of a whole step of Gap Preserving Distillation: both passes forward and backward, clipping, SGD, moving average.
 * `npm run bench -- gpd-step [cifar|resnet18]` measures ours; with `--original DIR`, a checkout of github.com/guoyongcs/GPD, and PyTorch,
 * the original's own step beside it: each in a process of its own with two threads, in turns. Beside each round the machine's own
 * speeds are measured; `gpd-step-floor.ts` says how long a step takes at least at their medians.
 */
import {spawn} from 'node:child_process';
import {existsSync} from 'node:fs';
import {join} from 'node:path';
import {parseArgs} from 'node:util';
import {gemmMeter} from './gemm-meter.js';
import {type GpdStepCase, gpdStepCases, RATIO} from './gpd-step-cases.js';
import {copyMeter, workOf} from './gpd-step-floor.js';
import {originalProgram} from './gpd-step-original.js';
import {mb, median, range} from './measure.js';
import {bundleOurs, type Peak, Side} from './step-process.js';
import {hasTorch, python} from './step-torch.js';

interface Setting {
  /** Our side's program. */
  readonly bundle: string;
  /** A checkout of the original. */
  readonly original: string | undefined;
  readonly meters: {readonly flops: () => number; readonly bytes: () => number};
}

/** One side's rounds. */
class Rounds {
  private firstLoss = Number.NaN;
  readonly rates: number[] = [];

  constructor(
    private readonly title: string,
    private readonly side: Side,
    /** Beside the first step. */
    private readonly warmUp: number,
  ) {}

  async start(): Promise<void> {
    this.firstLoss = (await this.side.train(1)).loss;
    if (this.warmUp > 0) await this.side.train(this.warmUp);
  }

  async round({batch, steps}: GpdStepCase): Promise<void> {
    this.rates.push((batch * steps) / (await this.side.train(steps)).seconds);
  }

  async end(): Promise<Peak> {
    const peak = await this.side.end();
    const [speed, loss] = [range(this.rates, 2), this.firstLoss.toFixed(3)];
    console.log(`  ${this.title.padEnd(8)} ${speed} images/s, ${mb(peak.peakBytes)}; loss of the first step ${loss}`);
    return peak;
  }
}

/** Ours records the step, and once more where a slot has found its layout. */
const ourRounds = (name: string, bundle: string) =>
  new Rounds('ours', new Side('our side', spawn(process.execPath, [bundle, name])), 3);

/** PyTorch has allocated what it keeps after one step. */
function originalRounds(name: string, {arch, imageSize, batch}: GpdStepCase, original: string): Rounds {
  const sizes = [batch, imageSize, arch.classes].map(String);
  const child = spawn(python, ['-c', originalProgram, original, name, ...sizes]);
  return new Rounds('original', new Side('the original', child), 0);
}

function reportBeside(spec: GpdStepCase, ours: Rounds, ourPeak: Peak): void {
  const {imagesPerSecond, peakBytes} = spec.original;
  const speed = (median(ours.rates) / imagesPerSecond).toFixed(2);
  const memory = (ourPeak.peakBytes / peakBytes).toFixed(2);
  console.log(
    `  original about ${imagesPerSecond} images/s, ${mb(peakBytes)}, as once measured on two cores of a like machine`,
  );
  console.log(`  ratio    about ${speed} of the speed, ${memory} of the memory; --original DIR measures both here`);
}

async function reportRatio(ours: Rounds, ourPeak: Peak, theirs: Rounds): Promise<void> {
  const {peakBytes, parameters, blas = []} = await theirs.end();
  if (parameters !== ourPeak.parameters)
    throw new Error(`gpd-step: the original trains ${parameters} numbers and ours ${ourPeak.parameters}: not the same network`);
  console.log(`           its matrix products by ${blas.join(', ')}`);
  const ratios = ours.rates.map((rate, i) => rate / theirs.rates[i]!);
  console.log(`  ratio    ${range(ratios, 2)} of the speed, ${(ourPeak.peakBytes / peakBytes).toFixed(2)} of the memory`);
}

function reportFloor(
  spec: GpdStepCase,
  parameters: number,
  peak: {flops: number; bytes: number},
  sides: readonly Rounds[],
): void {
  const {arch, imageSize, batch} = spec;
  const work = workOf(arch, imageSize, batch, RATIO, parameters);
  const floor = work.flops / peak.flops + work.bytes / peak.bytes;
  const times = sides.map(({rates}) => (batch / median(rates) / floor).toFixed(2));
  const products = `${(work.flops / 1e9).toFixed(0)} GFLOP at ${(peak.flops / 1e9).toFixed(0)} GFLOP/s`;
  const update = `${mb(work.bytes)} at ${(peak.bytes / 1e9).toFixed(1)} GB/s`;
  console.log(`  floor    ${(floor * 1000).toFixed(0)} ms a step: ${products}, ${update}`);
  console.log(`           ours takes ${times.join(' times as long, the original ')} times as long`);
}

async function measure(name: string, spec: GpdStepCase, {bundle, original, meters}: Setting): Promise<void> {
  const ours = ourRounds(name, bundle);
  const theirs = original === undefined ? undefined : originalRounds(name, spec, original);
  const sides = theirs ? [ours, theirs] : [ours];
  for (const side of sides) await side.start();
  const [flops, bytes]: [number[], number[]] = [[], []];
  for (let round = 0; round < spec.rounds; round++) {
    for (const side of sides) await side.round(spec);
    flops.push(meters.flops());
    bytes.push(meters.bytes());
  }
  console.log(`${name}: ${spec.title}; median (least … most) of ${spec.rounds} rounds of ${spec.steps} steps`);
  const peak = await ours.end();
  if (theirs) await reportRatio(ours, peak, theirs);
  else reportBeside(spec, ours, peak);
  reportFloor(spec, peak.parameters!, {flops: median(flops), bytes: median(bytes)}, sides);
}

/** The folder of `--original` where its step can run here. */
function checkoutOf(folder: string | undefined): string | undefined {
  if (folder === undefined) return undefined;
  if (!existsSync(join(folder, 'CNN', 'gpd_utils.py')))
    throw new Error(`gpd-step: no CNN/gpd_utils.py in ${folder}; --original is a checkout of github.com/guoyongcs/GPD`);
  if (hasTorch()) return folder;
  console.log('gpd-step: PyTorch is not installed (Debian: python3-torch, python3-torchvision); our side alone');
  return undefined;
}

export async function benchGpdStep(words: readonly string[]): Promise<void> {
  const options = {original: {type: 'string'}} as const;
  const {values, positionals} = parseArgs({args: [...words], options, allowPositionals: true});
  const unknown = positionals.find((name) => !(name in gpdStepCases));
  if (unknown) throw new Error(`gpd-step: no network '${unknown}'; there are ${Object.keys(gpdStepCases).join(', ')}`);
  const original = checkoutOf(values.original);
  const meters = {flops: await gemmMeter(), bytes: copyMeter()};
  const setting = {bundle: await bundleOurs('gpd-step-ours'), original, meters};
  for (const [name, spec] of Object.entries(gpdStepCases)) {
    if (positionals.length === 0 || positionals.includes(name)) await measure(name, spec, setting);
  }
}
