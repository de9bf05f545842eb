/**
 * The released configurations at full size, ResNet-18, MobileNet and RVT-Ti with ratio 2: as few nodes and bytes as there can be,
 * and the logits of the original. Weights are those of the formula, since the released files are not at hand.
 */
import {mkdtempSync, readFileSync, rmSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {filled, filledStateDict} from '../../fixtures/fill.js';
import {fullSizeEntries} from '../../fixtures/full-size.js';
import {openCheckpoint} from '../../src/checkpoint/open.js';
import {buildModel} from '../../src/convert/build.js';
import {deployedWeights} from '../../src/convert/deployed-weights.js';
import {sizeOfModel} from '../../src/convert/sizes.js';
import {fileSource} from '../../src/core/bytes.js';
import type {Tensor} from '../../src/core/tensor.js';
import type {ArchName} from '../../src/models/families/index.js';
import {type Recognised, recognise} from '../../src/models/recognise.js';
import {modelBytes} from '../../src/onnx/encode.js';
import {ModelProto} from '../../src/onnx/proto.js';
import {expectClose, expectLogits} from '../close.js';
import {describeShared, shared} from '../shared.js';
import {logitsOf} from './run-model.js';

interface Limits {
  name: ArchName;
  /** In goldens/full. */
  golden: string;
  opset: number;
  nodes: number;
  /** What is left when onnxruntime has optimised the graph for itself: a form that blocks its fusions is not minimal. */
  optimisedNodes: number;
  weightBytes?: number;
}
const limits: Limits[] = [
  {name: 'resnet18', golden: 'resnet18', opset: 20, nodes: 49, optimisedNodes: 25, weightBytes: 46_738_848},
  {name: 'mobilenet', golden: 'MobileNet', opset: 20, nodes: 57, optimisedNodes: 32, weightBytes: 16_884_128},
  {name: 'rvt_tiny', golden: 'rvt_tiny', opset: 20, nodes: 325, optimisedNodes: 362},
  {name: 'rvt_tiny', golden: 'rvt_tiny', opset: 23, nodes: 241, optimisedNodes: 266},
];
/** 10 KB for the convolutional networks; a node with its names takes about 170 bytes. */
const overhead = (nodes: number) => Math.max(10 * 1024, nodes * 250);

let folder = '';
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'full-size-'));
});
afterAll(() => rmSync(folder, {recursive: true, force: true}));

const recognised = new Map<ArchName, Recognised>();
function recogniseFull(name: ArchName): Recognised {
  const known = recognised.get(name);
  if (known) return known;
  const entries = fullSizeEntries(name).map(({key, ...rest}) => ({name: key, ...rest}));
  const found = recognise(filledStateDict('dev', entries), undefined, {});
  recognised.set(name, found);
  return found;
}

interface Built {
  nodes: number;
  optimisedNodes: number;
  weightBytes: number;
  bytes: number;
  logits: Float32Array;
}

async function build(name: ArchName, opset: number): Promise<Built> {
  const {model} = await buildModel(recogniseFull(name), 'student', {opset});
  const bytes = modelBytes(model);
  const optimizedModelPath = join(folder, `${name}-${opset}.onnx`);
  const input = filled('dev', 'input', [1, 3, 224, 224]).read();
  const {data: logits} = await logitsOf(bytes, input, {optimizedModelPath});
  const {graph} = ModelProto.decode(readFileSync(optimizedModelPath));
  const {weightBytes} = sizeOfModel(model, recogniseFull(name), 'student');
  const nodes = model.graph.nodes.length;
  return {nodes, optimisedNodes: graph!.node!.length, weightBytes, bytes: bytes.length, logits};
}

describe.each(limits)('$name at opset $opset', ({name, golden, opset, nodes, optimisedNodes, weightBytes}) => {
  let built: Built;
  beforeAll(async () => {
    built = await build(name, opset);
  }, 60_000);

  test('is recognised without any option', () => {
    const {arch, kind, form, imageSize} = recogniseFull(name);
    expect([arch.name, kind, form.ratio, imageSize]).toEqual([name, 'gpd', 2, 224]);
  });
  test('has as few nodes as there can be', () => expect(built.nodes).toBe(nodes));
  test('has few nodes when onnxruntime has optimised it', () =>
    expect(built.optimisedNodes).toBeLessThanOrEqual(optimisedNodes));
  test('is hardly larger than its weights', () => {
    expect(built.bytes - built.weightBytes).toBeLessThanOrEqual(overhead(nodes));
    if (weightBytes !== undefined) expect(built.weightBytes).toBe(weightBytes);
  });

  describeShared('goldens/full', 'the original', () => {
    test('has the same logits', () => {
      const io = openCheckpoint(fileSource(shared('goldens/full', `${golden}.io.safetensors`))).stateDict;
      const expected = io.get('deployed_logits_f64')!.read().data as Float64Array;
      expectLogits(built.logits, expected, 1e-5, 'float32 layers and one rounding of each weight, against float64');
    });
  });
});

interface Fingerprint {
  sum: number;
  sumsq: number;
  head: number[];
}

describeShared('goldens/full', 'deployed weights of the original', () => {
  test.each(limits.filter(({opset}) => opset === 20))('$name', async ({name, golden}) => {
    const manifest = JSON.parse(readFileSync(shared('goldens/full', `${golden}.deployed.manifest.json`), 'utf8'));
    const weights = await deployedWeights(recogniseFull(name));
    const shapes = [...weights].map(([key, {shape}]) => ({name: key, shape}));
    expect(shapes).toEqual(manifest.state_dict.map(({name: key, shape}: Tensor & {name: string}) => ({name: key, shape})));
    for (const [key, {sum, sumsq, head}] of Object.entries<Fingerprint>(manifest.dev_fingerprints)) {
      const data = Float64Array.from(weights.get(key)!.read().data as ArrayLike<number>, Number);
      const because = 'the original merges in float32';
      const largest = data.reduce((most, v) => Math.max(most, Math.abs(v)), 0);
      expectClose(data.subarray(0, head.length), head, {atol: 1e-6 * largest, because}, key);
      const sums = [data.reduce((a, b) => a + b, 0), Math.sqrt(data.reduce((a, b) => a + b * b, 0))];
      expectClose(sums, [sum, Math.sqrt(sumsq)], {atol: 1e-6 * largest * Math.sqrt(data.length), because}, key);
    }
  });
});
