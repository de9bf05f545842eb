/**
 * Latency of int8 students beside float32, one image: full-size stand-ins (weights by formula: no time depends on them), quantised by
 * `quantiseModel` on noise. Runs take turns, so that each ratio is of two neighbours. `npm run bench int8`.
 */
import {existsSync, mkdirSync, statSync, writeFileSync} from 'node:fs';
import {join} from 'node:path';
import {writeFullSize} from '../fixtures/full-size.js';
import {fileSource} from '../src/core/bytes.js';
import {fillUniform} from '../src/core/random.js';
import {float32, type Tensor} from '../src/core/tensor.js';
import {quantiseModel} from '../src/export/quantise/quantise.js';
import type {ArchName} from '../src/models/families/index.js';
import {decodeModel} from '../src/onnx/decode.js';
import {modelBytes} from '../src/onnx/encode.js';
import {openSession, type Session} from '../src/onnx/session.js';
import {timeCommand} from './measure.js';

const SIDE = 224;
const ROUNDS = 50;
const WARM_UP = 5;
const cases: readonly {name: ArchName; wanted: number}[] = [
  {name: 'resnet18', wanted: 2.8},
  {name: 'mobilenet', wanted: 1.8},
];

function student(name: ArchName): string {
  mkdirSync(join('build', 'bench'), {recursive: true});
  const [checkpoint, model] = [join('build', 'bench', `${name}_gpd.pth.tar`), join('build', 'bench', `${name}.onnx`)];
  if (!existsSync(checkpoint)) writeFullSize(name, checkpoint);
  if (!existsSync(model)) timeCommand(['bin/gpd.js', 'convert', checkpoint, '-o', model], 0);
  return model;
}

function noise(images: number): Tensor<'float32'> {
  const data = new Float32Array(images * 3 * SIDE * SIDE);
  fillUniform(data, 'int8', -2, 2);
  return float32([images, 3, SIDE, SIDE], data);
}

/** Made once, as the float32 model is: it takes longer than the measurement. */
async function quantised(path: string): Promise<string> {
  const file = path.replace('.onnx', '.int8.onnx');
  if (existsSync(file)) return file;
  const calibration = async function* () {
    yield noise(4);
  };
  const {model} = await quantiseModel(decodeModel(fileSource(path)), {calibration, method: 'minmax'});
  writeFileSync(file, modelBytes(model));
  return file;
}

const sorted = (values: readonly number[]) => values.toSorted((a, b) => a - b);
const at = (values: readonly number[], q: number) => sorted(values)[Math.floor(q * (values.length - 1))]!;

async function compare(float: string, int8: string, threads: number): Promise<string> {
  const [floats, integers] = [await openSession(float, {threads}), await openSession(int8, {threads})];
  const input = new Map([[floats.inputNames[0]!, noise(1)]]);
  const time = async (session: Session) => {
    const start = performance.now();
    await session.run(input);
    return performance.now() - start;
  };
  const [a, b]: [number[], number[]] = [[], []];
  for (let round = -WARM_UP; round < ROUNDS; round++) {
    const pair = [await time(floats), await time(integers)] as const;
    if (round < 0) continue;
    a.push(pair[0]);
    b.push(pair[1]);
  }
  for (const session of [floats, integers]) await session.close();
  const ratios = a.map((ms, i) => ms / b[i]!);
  const spread = `${at(ratios, 0.1).toFixed(2)} … ${at(ratios, 0.9).toFixed(2)}`;
  return `float32 ${at(a, 0.5).toFixed(2)} ms, int8 ${at(b, 0.5).toFixed(2)} ms: ${at(ratios, 0.5).toFixed(2)}x (${spread})`;
}

export async function benchInt8(): Promise<void> {
  for (const {name, wanted} of cases) {
    const path = student(name);
    const int8 = await quantised(path);
    const bytes = statSync(int8).size;
    const share = (100 * bytes) / statSync(path).size;
    console.log(`${name}, batch 1, ${bytes} bytes, ${share.toFixed(1)} % of float32; wanted on one thread: ${wanted}x`);
    for (const threads of [1, 2])
      console.log(`  ${threads} thread${threads > 1 ? 's' : ''}: ${await compare(path, int8, threads)}`);
  }
}
