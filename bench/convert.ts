/** Conversion of full-size stand-ins, as a user runs it, with its phases and the distance to the floor. */
import {existsSync, mkdirSync, statSync} from 'node:fs';
import {join} from 'node:path';
import {fullSizeEntries, writeFullSize} from '../fixtures/full-size.js';
import {makeProbes} from '../src/convert/probes.js';
import {float32, type Tensor} from '../src/core/tensor.js';
import {type ArchName, archs} from '../src/models/families/index.js';
import {manifestOf, networkMacs} from '../src/models/walk.js';
import {modelBytes} from '../src/onnx/encode.js';
import {Graph} from '../src/onnx/graph.js';
import {openSession} from '../src/onnx/session.js';
import {isOrepaCandidate} from '../src/reparam/modules.js';
import {mb, ms, timeCommand} from './measure.js';

const RUNS = 5;
const cases: readonly ArchName[] = ['resnet18', 'mobilenet', 'rvt_tiny'];
const folder = join('build', 'bench');

/** Bytes of the student's blocks, and the multiply-adds of merging dense OREPA branches: O·9·I² for the sequence, O·I·72 for the separable one. */
function work(name: ArchName) {
  const arch = archs[name].build();
  const {modules, records} = manifestOf(arch);
  const stored = new Map(fullSizeEntries(name).map((e) => [e.key, e]));
  let [bytesRead, mergeFlops] = [0, 0];
  for (const m of modules) {
    const orepa = stored.has(`${m.name}.weight_orepa_origin`);
    if (m.kind === 'conv' && orepa && isOrepaCandidate(m) && m.groups === 1) mergeFlops += 2 * m.out * m.in * (9 * m.in + 72);
  }
  for (const {key, shape} of fullSizeEntries(name, 1)) {
    const both = stored.get(key.replace('running_', 'tiny_running_')) ?? stored.get(key);
    if (both) bytesRead += 4 * shape.reduce((n, d) => n * d, 1);
  }
  return {bytesRead, mergeFlops, forwardFlops: 2 * networkMacs(records, 1) * makeProbes(1, 0).names.length * 2};
}

/** GFLOP/s of a large float32 matrix product in onnxruntime on this machine. */
async function gemmPeak(): Promise<number> {
  const n = 1024;
  const graph = new Graph('gemm');
  const [a, b] = ['a', 'b'].map((name) => graph.input(name, 'float32', [n, n]));
  graph.outputs = [graph.op('MatMul', [a, b], {}, {name: 'c'})];
  const model = {
    graph,
    opset: 20,
    irVersion: 9,
    domains: new Map(),
    producer: {name: 'bench', version: ''},
    metadata: new Map(),
  };
  const session = await openSession(modelBytes(model), {spin: true});
  const x: Tensor = float32([n, n], new Float32Array(n * n).fill(1));
  const inputs = new Map([
    ['a', x],
    ['b', x],
  ]);
  let best = Number.POSITIVE_INFINITY;
  for (let i = 0; i < 10; i++) {
    const start = performance.now();
    await session.run(inputs);
    best = Math.min(best, performance.now() - start);
  }
  await session.close();
  return (2 * n ** 3) / best / 1e6;
}

interface Report {
  outputs: {bytes: number}[];
  timing: {phases: {phase: string; ms: number}[]; totalMs: number};
  peakBytes: number;
}

export async function benchConvert(): Promise<void> {
  mkdirSync(folder, {recursive: true});
  const peak = await gemmPeak();
  console.log(
    `convert, full size, ${RUNS} runs after one to warm the page cache; float32 GEMM peak ${peak.toFixed(0)} GFLOP/s`,
  );
  for (const name of cases) {
    const file = join(folder, `${name}_gpd.pth.tar`);
    if (!existsSync(file)) writeFullSize(name, file);
    const run = timeCommand(['bin/gpd.js', 'convert', file, '-o', join(folder, `${name}.onnx`), '--force', '--json'], RUNS);
    const report = JSON.parse(run.stdout) as Report;
    const {bytesRead, mergeFlops, forwardFlops} = work(name);
    const phase = (names: string[]) =>
      report.timing.phases.filter((p) => names.includes(p.phase)).reduce((n, p) => n + p.ms, 0);
    const floor = (mergeFlops * 2 + mergeFlops + forwardFlops) / peak / 1e6; // the fold is float64: half the rate
    console.log(`\n${name}: ${mb(statSync(file).size)} → ${mb(report.outputs[0]!.bytes)}`);
    console.log(`  wall ${ms(run.medianMs)} (${ms(run.minMs)} … ${ms(run.maxMs)}), peak memory ${mb(report.peakBytes)}`);
    console.log(`  ${report.timing.phases.map((p) => `${p.phase} ${ms(p.ms)}`).join(', ')}`);
    console.log(`  open + merge + write ${ms(phase(['open', 'recognise', 'rewrite and fold', 'write']))}`);
    console.log(
      `  floor: read ${mb(bytesRead)}, merge ${(mergeFlops / 1e9).toFixed(1)} GFLOP, run ${(forwardFlops / 1e9).toFixed(1)} GFLOP, write ${mb(report.outputs[0]!.bytes)}: arithmetic alone ${ms(floor)}, wall is ${(run.medianMs / floor).toFixed(1)}x`,
    );
  }
}
