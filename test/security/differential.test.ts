/**
 * The same thing computed twice, on inputs that nobody chose: random networks through the rewriter and by float64 loops, random
 * checkpoints through writer, reader and writer, random graphs before and after every pass.
 */
import {filledStateDict} from '../../fixtures/fill.js';
import {isTensor} from '../../src/checkpoint/plain-data.js';
import type {Writable} from '../../src/checkpoint/write-pickle.js';
import {writeSafetensors} from '../../src/checkpoint/write-safetensors.js';
import {orderedStateDict, writeTorch, writeTorchLegacy} from '../../src/checkpoint/write-torch.js';
import {buildModel} from '../../src/convert/build.js';
import {compare} from '../../src/core/compare.js';
import {type Random, random} from '../../src/core/random.js';
import {
  type DType,
  dtypes,
  elementCount,
  float32,
  type StateDict,
  sourceOf,
  type Tensor,
  type TensorSource,
  tensorOver,
} from '../../src/core/tensor.js';
import {cifarResnet} from '../../src/models/families/cifar-resnet.js';
import {resnet} from '../../src/models/families/resnet.js';
import {rvt} from '../../src/models/families/rvt.js';
import type {Architecture} from '../../src/models/layers.js';
import {recognise} from '../../src/models/recognise.js';
import {runReference} from '../../src/models/reference.js';
import {manifestOf} from '../../src/models/walk.js';
import {checkModel} from '../../src/onnx/check.js';
import {modelBytes} from '../../src/onnx/encode.js';
import {parseModel} from '../../src/onnx/parse-text.js';
import {runPasses} from '../../src/onnx/pass.js';
import {minimalPasses} from '../../src/onnx/passes/index.js';
import {isOrepaCandidate} from '../../src/reparam/modules.js';
import {storedEntries} from '../../src/reparam/stored-tensors.js';
import {collect, open} from '../checkpoint/assembler.js';
import {expectLogits} from '../close.js';
import {logitsOf} from '../convert/run-model.js';
import {evaluate} from '../onnx/same-function.js';

const between = (dice: Random, low: number, high: number): number => low + dice.integer(high - low + 1);

interface Drawn {
  arch: Architecture;
  imageSize: number;
  heads?: number[];
}

/** A network of any family, of widths and depths that nobody would choose. */
const families: readonly ((dice: Random) => Drawn)[] = [
  (dice) => {
    const widths = Array.from({length: 3}, (_, i) => between(dice, 2, 4) + i);
    const depth = between(dice, 1, 3);
    const arch = cifarResnet('any', {
      widths,
      depths: [depth, depth, depth],
      classes: between(dice, 2, 7),
      classifier: 'linear',
    });
    return {arch, imageSize: 32};
  },
  (dice) => {
    const block = dice.integer(2) === 0 ? 'basic' : 'bottleneck';
    const planes = Array.from({length: 4}, () => between(dice, 1, 4));
    const depths = Array.from({length: 4}, () => between(dice, 1, 2));
    return {
      arch: resnet('any', {block, stem: between(dice, 2, 5), planes, depths, classes: between(dice, 2, 7)}),
      imageSize: 64,
    };
  },
  (dice) => {
    const heads = [between(dice, 1, 2), between(dice, 1, 3)];
    const stages = heads.map((count) => {
      const dim = count * between(dice, 2, 4);
      return {dim, heads: count, depth: between(dice, 1, 2), hidden: dim + between(dice, 1, 5), mlp: 'conv' as const};
    });
    const size = {stem: between(dice, 3, 6), stages, patch: 4, masked: {blocks: 0, tokens: 0}, classes: between(dice, 2, 7)};
    return {arch: rvt('any', size), imageSize: 224, heads};
  },
];

function stateDictOf({arch, imageSize}: Drawn, ratio: number, orepa: boolean, seed: string): StateDict {
  const entries = storedEntries(manifestOf(arch, imageSize).modules, ratio, (m) => orepa && isOrepaCandidate(m));
  return filledStateDict(
    seed,
    entries.map(({key, shape, dtype}) => ({name: key, shape, dtype})),
  );
}

test.each([0, 1, 2, 3, 4, 5, 6, 7])('random network %d: every form against float64 loops', async (seed) => {
  const dice = random(`network ${seed}`);
  const drawn = families[seed % families.length]!(dice);
  const [ratio, orepa] = [between(dice, 1, 3), dice.integer(2) === 0];
  const stateDict = stateDictOf(drawn, ratio, orepa, `network ${seed}`);
  const args = new Map<string, unknown>([['gpd_ratio', ratio]]);
  const r = recognise(stateDict, args, {imageSize: drawn.imageSize, ...(drawn.heads && {heads: drawn.heads})});
  const images = float32(
    [2, 3, drawn.imageSize, drawn.imageSize],
    Float32Array.from({length: 6 * drawn.imageSize ** 2}, dice.normal),
  );
  for (const role of ['student', 'teacher'] as const) {
    const expected = runReference(r.arch, r.stateDict, r.form, role, images);
    const {model} = await buildModel(r, role, {imageSize: drawn.imageSize});
    const {data} = await logitsOf(model, images);
    expectLogits(
      data,
      expected.data,
      2e-5,
      'float32 layers and one rounding of each weight, against float64',
      `${role} of ${seed}`,
    );
  }
});

describe('random checkpoints: writer, reader, writer', () => {
  const anyTensor = (dice: Random): Tensor => {
    const dtype = (Object.keys(dtypes) as DType[])[dice.integer(Object.keys(dtypes).length)]!;
    const shape = Array.from({length: dice.integer(5)}, () => dice.integer(5));
    const bytes = Uint8Array.from({length: elementCount(shape) * dtypes[dtype].bytes}, () => dice.integer(256));
    return tensorOver(dtype, shape, bytes);
  };
  const anyStateDict = (dice: Random): Map<string, TensorSource> =>
    new Map(Array.from({length: between(dice, 1, 9)}, (_, i) => [`t${i}.${dice.integer(1000)}`, sourceOf(anyTensor(dice))]));

  test.each([
    ['zip', writeTorch],
    ['legacy', writeTorchLegacy],
  ] as const)('%s: the same bytes', (_, write) => {
    for (let seed = 0; seed < 60; seed++) {
      const first = collect((sink) => write(orderedStateDict(anyStateDict(random(`checkpoint ${seed}`))), sink));
      const {stateDict, root} = open(first);
      expect([...(root as Map<unknown, never>).values()].every(isTensor)).toBe(true);
      expect(collect((sink) => write(orderedStateDict(stateDict), sink))).toEqual(first);
    }
  });

  test('safetensors: the same bytes', () => {
    for (let seed = 0; seed < 60; seed++) {
      const first = collect((sink) => writeSafetensors(anyStateDict(random(`checkpoint ${seed}`)), sink, {format: 'pt'}));
      expect(collect((sink) => writeSafetensors(open(first).stateDict, sink, {format: 'pt'}))).toEqual(first);
    }
  });

  test('options and values beside the weights: the same bytes', () => {
    const contents = new Map<string, Writable>([
      ['state_dict', orderedStateDict(anyStateDict(random('contents')))],
      ['epoch', 3],
    ]);
    expect(collect((sink) => writeTorch(contents, sink))).toEqual(collect((sink) => writeTorch(contents, sink)));
  });
});

/** A chain of operators over [N, C, 8, 8] and branches of it, as text. The constants are random by their seeds. */
function randomGraph(dice: Random): string {
  const lines: string[] = [];
  const values: {name: string; channels: number}[] = [{name: 'x', channels: 3}];
  let seed = 0;
  const constant = (type: string) => {
    const name = `c${seed}`;
    lines.push(`%${name} = ${type} ~${++seed}`);
    return name;
  };
  const vector = (channels: number) => constant(`f32[${channels}]`);
  const steps = between(dice, 4, 12);
  for (let i = 0; i < steps; i++) {
    const {name, channels} = values[Math.max(0, values.length - 1 - dice.integer(2))]!;
    const out = `v${i}`;
    const kind = dice.integer(8);
    let outChannels = channels;
    if (kind <= 1) {
      outChannels = between(dice, 1, 5);
      const kernel = dice.integer(2) === 0 ? 1 : 3;
      const pad = (kernel - 1) / 2;
      const weight = constant(`f32[${outChannels}, ${channels}, ${kernel}, ${kernel}]`);
      const bias = dice.integer(2) === 0 ? `, %${vector(outChannels)}` : '';
      lines.push(
        `%${out} = Conv(%${name}, %${weight}${bias}) {kernel_shape = [${kernel}, ${kernel}], pads = [${pad}, ${pad}, ${pad}, ${pad}]}`,
      );
    } else if (kind === 2) {
      const [gamma, beta, mean] = [vector(channels), vector(channels), vector(channels)];
      const raw = vector(channels);
      lines.push(`%${out}.s = Mul(%${raw}, %${raw})`, `%${out}.one = f32[1] {0.5}`, `%${out}.v = Add(%${out}.s, %${out}.one)`);
      lines.push(`%${out} = BatchNormalization(%${name}, %${gamma}, %${beta}, %${mean}, %${out}.v) {epsilon = 1e-5}`);
    } else if (kind === 3) lines.push(`%${out} = Mul(%${name}, %${constant(`f32[${channels}, 1, 1]`)})`);
    else if (kind === 4) lines.push(`%${out} = Add(%${name}, %${constant(`f32[1, ${channels}, 1, 1]`)})`);
    else if (kind === 5) lines.push(`%${out} = Relu(%${name})`);
    else if (kind === 6) lines.push(`%${out} = Identity(%${name})`);
    else {
      const same = values.filter((v) => v.channels === channels);
      lines.push(`%${out} = Add(%${name}, %${same[dice.integer(same.length)]!.name})`);
    }
    values.push({name: out, channels: outChannels});
  }
  return `graph g (%x: f32[N, 3, 8, 8]) -> (%v${steps - 1})\n${lines.map((line) => `  ${line}`).join('\n')}`;
}

test.each(Array.from({length: 24}, (_, i) => i))('random graph %d: every pass keeps what it computes', async (seed) => {
  const text = randomGraph(random(`graph ${seed}`));
  const [expected] = await evaluate(parseModel(text));
  const model = parseModel(text);
  for (const pass of minimalPasses) {
    await runPasses(model, [pass]);
    expect(checkModel(model)).toEqual([]);
    const [actual] = await evaluate(model);
    const because = 'float32 sums of up to fifty products in another order, through up to twelve layers';
    expect({pass: pass.name, ...compare(actual!, expected!, {atol: 1e-6, rtol: 1e-4, because})}).toMatchObject({ok: true});
  }
  expect((await runPasses(model, minimalPasses)).map(({changes}) => changes).every((n) => n === 0)).toBe(true);
  expect(modelBytes(model).length).toBeGreaterThan(0);
});
