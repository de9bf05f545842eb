/** One network in the forms that other exporters give: the same logits whatever the form, or an error with the flag that makes them so. */
import {mkdirSync, mkdtempSync, rmSync, writeFileSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import sharp from 'sharp';
import {random} from '../../src/core/random.js';
import {float32, int64, type Tensor} from '../../src/core/tensor.js';
import {recipes} from '../../src/data/recipe.js';
import {runImages} from '../../src/eval/logits.js';
import {settleSides, withNormalisation} from '../../src/eval/settle-size.js';
import {type ModelChoices, measuredSubject} from '../../src/eval/subject.js';
import {modelBytes} from '../../src/onnx/encode.js';
import type {Graph, Model, Value} from '../../src/onnx/graph.js';
import {dataTypeOf, type ValueType} from '../../src/onnx/ops.js';
import {evaluateFiles} from '../../src/workflows/evaluate.js';
import {exportFile} from '../../src/workflows/export/export.js';
import type {ExportFileOptions} from '../../src/workflows/export/options.js';
import {verifyFiles} from '../../src/workflows/verify.js';
import {expectClose} from '../close.js';
import {ends, type TinyOptions, tinyNetwork} from './networks.js';

const SIDE = 8;
const CLASSES = 10;
const folder = mkdtempSync(join(tmpdir(), 'gpd-foreign-'));
afterAll(() => rmSync(folder, {recursive: true}));

const written = (name: string, model: Model): string => {
  const path = join(folder, `${name}.onnx`);
  writeFileSync(path, modelBytes(model));
  return path;
};

/** What a graph is given is turned by `turn` into what the network takes. */
const behind =
  (name: string, dtype: ValueType, shape: (number | string)[], turn: (graph: Graph, images: Value) => Value) =>
  (options: TinyOptions = {}): Model =>
    tinyNetwork({...options, begin: (graph) => turn(graph, graph.input(name, dtype, shape))});

const nchw = (graph: Graph, images: Value) => graph.op('Transpose', [images], {perm: [0, 3, 1, 2]}, {name: 'nchw'});
const cast = (graph: Graph, images: Value) => graph.op('Cast', [images], {to: dataTypeOf('float32')}, {name: 'float'});
const perColour = (graph: Graph, name: string, values: readonly number[]) =>
  graph.initializer(name, float32([1, 3, 1, 1], Float32Array.from(values)));
const {mean, std} = recipes.cifar(SIDE);
/** ImageNet's normalisation of bytes. */
const normalised = (graph: Graph, pixels: Value) => {
  const centred = graph.op(
    'Sub',
    [
      pixels,
      perColour(
        graph,
        'mean',
        mean.map((m) => 255 * m),
      ),
    ],
    {},
    {name: 'centred'},
  );
  return graph.op(
    'Div',
    [
      centred,
      perColour(
        graph,
        'std',
        std.map((s) => 255 * s),
      ),
    ],
    {},
    {name: 'scaled'},
  );
};
const takes = (dims: readonly (number | string)[]) => () => {
  const model = tinyNetwork();
  model.graph.inputs[0]!.shape = dims;
  return model;
};
const gives = (end: TinyOptions['end'], declared?: readonly (number | string)[]) => () => {
  const model = tinyNetwork({end});
  const [output] = model.graph.outputs as [Value];
  output.shape = declared;
  return model;
};
const shaped = (shape: readonly number[]) => (graph: Graph, logits: Value) =>
  graph.op('Reshape', [logits, graph.initializer('shape', int64([shape.length], shape))], {}, {name: 'shaped'});
const same = (graph: Graph, logits: Value) => graph.op('Identity', [logits], {}, {name: 'same'});
const best = (graph: Graph, logits: Value) => graph.op('ArgMax', [logits], {axis: 1, keepdims: 0}, {name: 'label'});

const images = (count: number): Tensor<'float32'> => {
  const {integer} = random('foreign');
  const pixels = Uint8Array.from({length: count * 3 * SIDE * SIDE}, () => integer(256));
  const colour = (i: number) => Math.floor(i / (SIDE * SIDE)) % 3;
  const data = Float32Array.from(pixels, (x, i) => (x - 255 * mean[colour(i)]!) / (255 * std[colour(i)]!));
  return float32([count, 3, SIDE, SIDE], data);
};

async function logitsOf(path: string, choices: ModelChoices = {}): Promise<Float32Array> {
  const settled = settleSides([await measuredSubject(path, choices)], undefined, SIDE).subjects;
  const [subject] = withNormalisation(settled, recipes.cifar(SIDE));
  const session = await subject!.open({threads: 1});
  try {
    expect(subject!.classes).toBe(CLASSES);
    return await runImages(session, subject!, images(5));
  } finally {
    await session.close();
  }
}

const forms: readonly [name: string, make: () => Model, choices?: ModelChoices][] = [
  ['NHWC', behind('nhwc', 'float32', ['N', SIDE, SIDE, 3], nchw)],
  ['NHWC of any size, one image a batch', behind('nhwc', 'float32', [1, 'H', 'W', 3], nchw)],
  ['float16 images', behind('half', 'float16', ['N', 3, SIDE, SIDE], cast)],
  ['float64 images', behind('double', 'float64', ['N', 3, SIDE, SIDE], cast)],
  ['bytes NCHW', behind('pixels', 'uint8', ['N', 3, SIDE, SIDE], (g, x) => normalised(g, cast(g, x)))],
  ['bytes NHWC', behind('pixels', 'uint8', ['N', SIDE, SIDE, 3], (g, x) => normalised(g, nchw(g, cast(g, x))))],
  ['any size', takes(['N', 3, 'H', 'W'])],
  ['every dimension by name', takes(['batch_size', 'num_channels', 'height', 'width'])],
  ['colours last, every dimension by name', behind('image', 'float32', ['a', 'b', 'c', 'd'], nchw)],
  ['a batch of 0', takes([0, 3, SIDE, SIDE])],
  ['one image a batch', takes([1, 3, SIDE, SIDE])],
  ['three images a batch', takes([3, 3, SIDE, SIDE])],
  ['logits [N, C, 1, 1]', gives(shaped([-1, CLASSES, 1, 1]), ['N', CLASSES, 1, 1])],
  ['logits [N, 1, 1, C]', gives(shaped([-1, 1, 1, CLASSES]), ['N', 1, 1, CLASSES])],
  ['logits without a shape', gives(shaped([-1, CLASSES]))],
  ['classes by name', gives(same, ['N', 'classes'])],
  ['a label alone', gives(best, ['N']), {outputName: 'logits'}],
];

describe('the same logits', () => {
  test.each(forms.map(([name, make, choices = {}]) => [name, make, choices] as const))('%s', async (name, make, choices) => {
    const wanted = await logitsOf(written('plain', tinyNetwork()));
    const got = await logitsOf(written(name.replaceAll(/\W/g, '_'), make()), choices);
    const atol = name === 'float16 images' ? 0.01 : 1e-5;
    expectClose(got, wanted, {atol, because: 'rounding of another order of operations, or of images in half precision'});
  });
  test('a row of classes where a batch is one image', async () => {
    const one = tinyNetwork({batch: 1, end: shaped([CLASSES])});
    expectClose(await logitsOf(written('row', one)), await logitsOf(written('plain', tinyNetwork())), {
      atol: 1e-6,
      because: 'the same nodes on one image',
    });
  });
});

describe('what is refused says what it is and what helps', () => {
  const twoInputs = () => {
    const model = tinyNetwork({end: (g, x) => g.op('Mul', [x, g.input('temperature', 'float32', [1])], {}, {name: 'warm'})});
    return model;
  };
  test.each<[string, () => Model, RegExp, RegExp]>([
    ['a label alone', gives(best, ['N']), /one number for each class: 'label' int64/, /--output-name logits/],
    ['two inputs', twoInputs, /2 inputs: 'input' float32\[N, 3, 8, 8\], 'temperature' float32\[1\]/, /as constants/],
    [
      'one channel',
      behind('grey', 'float32', ['N', 1, 8, 8], (g, x) => g.op('Concat', [x, x, x], {axis: 1}, {name: 'rgb'})),
      /images of 1 channel/,
      /three colours/,
    ],
    ['not square', takes(['N', 3, 8, 12]), /8x12/, /square/],
    ['text', takes(['N', 3]), /input 'input' is float32\[N, 3\]/, /\[N, S, S, 3\]/],
  ])('%s', async (name, make, message, hint) => {
    const failure = await measuredSubject(written(`refused_${name}`, make())).catch((error) => error);
    expect(failure).toMatchObject({code: 'SHAPE_MISMATCH', message: expect.stringMatching(message)});
    expect(failure.hint).toMatch(hint);
  });
  test('a network that says any size, and does not run on the usual one, names the flag', async () => {
    const model = tinyNetwork({
      end: same,
      begin: (g) => shaped([-1, 3, SIDE, SIDE])(g, g.input('input', 'float32', ['N', 3, 'H', 'W'])),
    });
    model.graph.outputs[0]!.shape = ['N', 'classes'];
    model.graph.inputs[0]!.shape = [1, 3, 'H', 'W'];
    const path = written('secretly_fixed', model);
    await expect(measuredSubject(path, {imageSize: 7})).rejects.toMatchObject({
      code: 'SHAPE_MISMATCH',
      message: expect.stringContaining('does not run on images of 7 px'),
      hint: expect.stringContaining('--image-size'),
    });
  });
});

describe('whole commands', () => {
  const data = join(folder, 'images');
  beforeAll(async () => {
    const {integer} = random('files');
    for (let c = 0; c < CLASSES; c++) {
      mkdirSync(join(data, `class${c}`), {recursive: true});
      const pixels = Uint8Array.from({length: 3 * SIDE * SIDE}, () => integer(256));
      await sharp(pixels, {raw: {width: SIDE, height: SIDE, channels: 3}})
        .png()
        .toFile(join(data, `class${c}`, 'a.png'));
    }
  });
  const anySize = () => written('any', takes(['N', 3, 'H', 'W'])());
  const bytes = () =>
    written('bytes', behind('pixels', 'uint8', ['N', SIDE, SIDE, 3], (g, x) => normalised(g, nchw(g, cast(g, x))))());

  test('eval: a model of any size sees small images as they are, and says so', async () => {
    const {evaluation} = await evaluateFiles([anySize()], {data, threads: 1, state: null});
    expect(evaluation.settings.recipeReason).toContain('8 px, as the images are: any.onnx can take any size');
    expect(evaluation.models[0]!.size.macs).toBe((3 * 8 * 9 + 8 * 8 * 9) * SIDE * SIDE + 8 * CLASSES);
  });
  test('eval: forms of one network agree, whatever the normalisation of the run', async () => {
    const files = [written('plain', tinyNetwork()), anySize(), bytes()];
    const {evaluation} = await evaluateFiles(files, {data, threads: 1, state: null});
    expect(evaluation.comparisons.every((c) => c.difference!.max < 1e-5)).toBe(true);
    const own = await evaluateFiles([bytes()], {
      data,
      threads: 1,
      state: null,
      overrides: {mean: [0.1, 0.2, 0.3], std: [1, 0.5, 2]},
    });
    expect(own.evaluation.models[0]!.crossEntropy).toBeCloseTo(evaluation.models[2]!.crossEntropy!, 5);
  });
  test('eval: blue first', async () => {
    const swapped = (g: Graph, x: Value) =>
      g.op('Gather', [x, g.initializer('order', int64([3], [2, 1, 0]))], {axis: 1}, {name: 'rgb'});
    const bgr = written('bgr', behind('bgr', 'float32', ['N', 3, SIDE, SIDE], swapped)());
    const options = {data, threads: 1, state: null};
    const [right, wrong, plain] = await Promise.all([
      evaluateFiles([bgr], {...options, overrides: {order: 'bgr'}}),
      evaluateFiles([bgr], options),
      evaluateFiles([written('plain', tinyNetwork())], options),
    ]);
    const loss = (run: typeof plain) => run.evaluation.models[0]!.crossEntropy!;
    expect(loss(right)).toBeCloseTo(loss(plain), 5);
    expect(Math.abs(loss(wrong) - loss(plain))).toBeGreaterThan(1e-3);
  });
  test('verify: bytes against prepared images, on images that bytes can show', async () => {
    const result = await verifyFiles(written('plain', tinyNetwork()), bytes(), {samples: 4, threads: 1});
    expect(result).toMatchObject({verdict: 'same', complete: true});
  });
  test('verify: any size against a fixed one', async () => {
    const result = await verifyFiles(written('plain', tinyNetwork()), anySize(), {samples: 4, threads: 1});
    expect(result.verdict).toBe('same');
    expect(result.actual.warnings).toEqual([expect.stringContaining('8 px, as plain.onnx takes')]);
  });
  test('a name that no model computes lists the outputs', async () => {
    const options = {data, threads: 1, state: null, outputName: 'nothing'};
    await expect(evaluateFiles([written('plain', tinyNetwork())], options)).rejects.toMatchObject({
      code: 'SHAPE_MISMATCH',
      hint: expect.stringContaining("its outputs are 'logits'"),
    });
  });
});

describe('export', () => {
  const exported = (name: string, make: () => Model, more: ExportFileOptions = {}) =>
    exportFile(written(`export_${name}`, make()), {output: join(folder, `out_${name}.onnx`), rounds: 0, threads: 1, ...more});
  test.each<[string, () => Model, ExportFileOptions?]>([
    ['any_size', takes(['N', 3, 'H', 'W']), {imageSize: SIDE}],
    ['classes_by_name', gives(same, ['N', 'classes'])],
    ['label', gives(best, ['N']), {outputName: 'logits'}],
    ['empty_batch', takes([0, 3, SIDE, SIDE])],
  ])('%s is written, and computes the same', async (name, make, more = {}) => {
    const report = await exported(name, make, more);
    expect(report).toMatchObject({ok: true, forms: [{written: true}]});
    expectClose(await logitsOf(report.forms[0]!.path), await logitsOf(written('plain', tinyNetwork())), {
      atol: 1e-5,
      because: 'the same nodes',
    });
  });
  test.each<[string, () => Model, RegExp]>([
    ['any_size', takes(['N', 3, 'H', 'W']), /--image-size/],
    ['nhwc', behind('nhwc', 'float32', ['N', SIDE, SIDE, 3], nchw), /inputs-as-nchw/],
    ['bytes', behind('pixels', 'uint8', ['N', 3, SIDE, SIDE], cast), /embed-preprocessing/],
  ])('%s is refused with what helps', async (name, make, hint) => {
    await expect(exported(`refused_${name}`, make)).rejects.toMatchObject({
      code: 'EXPORT_REFUSED',
      hint: expect.stringMatching(hint),
    });
  });
});

test('a softmax that is asked for by name is taken for what it is', async () => {
  const model = tinyNetwork({end: ends.softmax});
  model.graph.outputs.push(model.graph.value('logits')!);
  const path = written('both', model);
  expect((await measuredSubject(path)).output).toBe('logits');
  expect((await measuredSubject(path, {outputName: 'prob'})).output).toBe('prob');
});
