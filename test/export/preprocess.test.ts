/** Preparation inside the model against preparation outside: the same pixels, the same logits. */
import {fillUniform, random} from '../../src/core/random.js';
import {float32, type Tensor, tensor, toFloat32, zeros} from '../../src/core/tensor.js';
import {normaliser, preprocess} from '../../src/data/preprocess.js';
import {type Recipe, recipes} from '../../src/data/recipe.js';
import type {Image} from '../../src/data/resample.js';
import {addAnswers} from '../../src/export/preprocess/answers.js';
import {embedPreprocessing} from '../../src/export/preprocess/embed.js';
import {foldNormalisation} from '../../src/export/preprocess/fold-normalisation.js';
import {resizerNames} from '../../src/export/preprocess/resize.js';
import {assertValid} from '../../src/onnx/check.js';
import {decodeModel} from '../../src/onnx/decode.js';
import {modelBytes} from '../../src/onnx/encode.js';
import {Graph, type Model} from '../../src/onnx/graph.js';
import {openSession} from '../../src/onnx/session.js';
import {expectClose} from '../close.js';
import {ends, tinyNetwork} from '../eval/networks.js';

const SIDE = 8;

function photograph(width: number, height: number, seed: string): Image {
  const {integer} = random(seed);
  return {width, height, data: Uint8Array.from({length: width * height * 3}, () => integer(256))};
}
const asBytes = (images: readonly Image[]): Tensor<'uint8'> => {
  const {width, height} = images[0]!;
  const data = new Uint8Array(images.length * width * height * 3);
  for (const [i, image] of images.entries()) data.set(image.data, i * image.data.length);
  return tensor('uint8', [images.length, height, width, 3], data);
};

async function run(model: Model, input: Tensor): Promise<Map<string, Tensor>> {
  assertValid(model, 'test');
  const session = await openSession(modelBytes(model));
  const results = await session.run(new Map([[model.graph.inputs[0]!.name, input]]));
  await session.close();
  return results;
}
const first = (results: Map<string, Tensor>) => toFloat32([...results.values()][0]!).data;

/** Gives back the images it gets: what was prepared can be looked at. */
function mirror(side: number, opset = 18): Model {
  const graph = new Graph('mirror');
  const images = graph.input('input', 'float32', ['N', 3, side, side]);
  graph.outputs = [graph.op('Flatten', [images], {axis: 1}, {name: 'logits'})];
  return {...tinyNetwork(), graph, opset};
}
/** (x − 0) / 1: the pixels themselves. */
const bytesOnly = {mean: [0, 0, 0], std: [1 / 255, 1 / 255, 1 / 255]} as const;
const fitted = (interpolation: Recipe['interpolation'], resize: number): Recipe => ({
  resize,
  crop: SIDE,
  interpolation,
  ...bytesOnly,
});

const sizes = [
  ...[
    [8, 8],
    [9, 9],
    [1, 1],
    [3, 7],
    [8, 40],
    [40, 8],
    [31, 17],
    [100, 75],
    [75, 101],
    [10, 11],
  ],
] as [number, number][];

describe.each(['bilinear', 'bicubic'] as const)('%s', (filter) => {
  test.each(sizes)('a photograph of %i × %i: matrices give the pixels of gpd eval', async (width, height) => {
    for (const resize of [8, 9, 13]) {
      const recipe = fitted(filter, resize);
      const images = [photograph(width, height, 'a'), photograph(width, height, 'b')];
      const expected = images.flatMap((image) => {
        const planes = new Float32Array(3 * SIDE * SIDE);
        normaliser(recipe)(preprocess(image, recipe).data, planes);
        return [...planes];
      });
      const {model} = embedPreprocessing(mirror(SIDE, 13), {recipe, resizer: 'matrices'});
      expect([...first(await run(model, asBytes(images)))]).toEqual(expected);
    }
  });

  test('the Resize node differs by 1 in few pixels', async () => {
    const recipe: Recipe = {resize: 64, crop: 56, interpolation: filter, ...bytesOnly};
    const image = photograph(150, 100, 'c');
    const expected = new Float32Array(3 * 56 * 56);
    normaliser(recipe)(preprocess(image, recipe).data, expected);
    const {model} = embedPreprocessing(mirror(56), {recipe, resizer: 'resize-op'});
    const actual = first(await run(model, asBytes([image])));
    const differences = [...actual].map((v, i) => Math.abs(v - expected[i]!));
    expect(Math.max(...differences)).toBeLessThanOrEqual(1);
    expect(differences.filter((d) => d > 0).length / differences.length).toBeLessThan(0.005);
  });
});

describe('normalisation', () => {
  const recipe = {...recipes.cnn(SIDE), resize: 9};
  const images = [photograph(20, 30, 'd'), photograph(20, 30, 'e')];
  const outside = (): Tensor<'float32'> => {
    const planes = new Float32Array(images.length * 3 * SIDE * SIDE);
    for (const [i, image] of images.entries())
      normaliser(recipe)(preprocess(image, recipe).data, planes.subarray(i * 3 * SIDE * SIDE, (i + 1) * 3 * SIDE * SIDE));
    return float32([images.length, 3, SIDE, SIDE], planes);
  };
  const because = 'float32 sums of some dozen products in another order';

  /** The tiny network with the padding of its first convolution taken away, or with another first node. */
  function unpadded(): Model {
    const model = tinyNetwork({side: SIDE});
    const {graph} = model;
    const [conv] = graph.inputs[0]!.users;
    const valid = graph.op('Conv', conv!.inputs, {kernel_shape: [3, 3]}, {name: 'valid'});
    graph.replaceUses(conv!.output, valid);
    for (const node of graph.nodes) for (const output of node.outputs) output.shape = undefined;
    graph.prune();
    const [bytes] = [modelBytes({...model, graph})];
    return decodeModel(bytes!);
  }
  const prepareNodes = (model: Model) => model.graph.nodes.map((node) => node.name).filter((name) => /\/(Sub|Div)$/.test(name));

  test.each([
    ['padded', () => tinyNetwork({side: SIDE}), {division: 'folded', subtraction: 'node'}],
    ['not padded', unpadded, {division: 'folded', subtraction: 'folded'}],
  ] as const)('a first convolution that is %s', async (_, network, expected) => {
    const plain = network();
    const {model, details, notes} = embedPreprocessing(plain, {recipe, resizer: 'matrices'});
    expect(details.normalisation).toMatchObject(expected);
    expect(notes.at(-1)).toBe(details.normalisation.because);
    const logits = first(await run(plain, outside()));
    expectClose(first(await run(model, asBytes(images))), logits, {atol: 1e-5, rtol: 1e-5, because});
    const subtractions = model.graph.nodes.filter(({inputs}) => inputs[1]?.name === 'prepare/mean');
    expect(subtractions.length).toBe(expected.subtraction === 'node' ? 1 : 0);
  });

  test('another first node, a shared input, groups or a computed kernel: nothing is folded, and it is said why', async () => {
    const {model, details} = embedPreprocessing(mirror(SIDE), {recipe, resizer: 'matrices'});
    expect(details.normalisation).toEqual({
      division: 'node',
      subtraction: 'node',
      because: "normalisation is kept as nodes: the images go to Flatten 'logits', which is no convolution",
    });
    expect(prepareNodes(model).length).toBeGreaterThan(1);
    expectClose(first(await run(model, asBytes(images))), outside().data, {atol: 1e-6, rtol: 1e-6, because});
    const shared = tinyNetwork({side: SIDE});
    shared.graph.outputs = [...shared.graph.outputs, shared.graph.op('Relu', [shared.graph.inputs[0]!])];
    expect(foldNormalisation(shared, {mean: [0, 0, 0], std: [1, 1, 1]}).because).toContain('several nodes');
  });

  test('folding the subtraction where the convolution pads would be wrong: the test sees it', async () => {
    const plain = tinyNetwork({side: SIDE});
    const {model} = embedPreprocessing(plain, {recipe, resizer: 'matrices'});
    const mean = model.graph.value('prepare/mean')!;
    model.graph.replaceUses(mean, model.graph.initializer('black', zeros('float32', [1, 3, 1, 1])));
    const [logits, wrong] = [first(await run(plain, outside())), first(await run(model, asBytes(images)))];
    expect(() => expectClose(wrong, logits, {atol: 1e-5, rtol: 1e-5, because})).toThrow();
  });
});

describe('answers', () => {
  const labels = Array.from({length: 10}, (_, i) => (i === 3 ? 'Köter, "groß"' : `class ${i}`));

  test('probabilities, the best classes and their names, best first; the model survives being read', async () => {
    const plain = tinyNetwork({side: SIDE});
    const model = decodeModel(modelBytes(addAnswers(plain, {softmax: true, topK: 4, labels})));
    expect(model.graph.outputs.map(({name, dtype}) => `${name} ${dtype}`)).toEqual([
      ...['logits float32', 'probabilities float32', 'top_scores float32', 'top_classes int64', 'top_labels string'],
    ]);
    const data = new Float32Array(2 * 3 * SIDE * SIDE);
    fillUniform(data, 'x', -1, 1);
    const results = await run(model, float32([2, 3, SIDE, SIDE], data));
    const logits = results.get('logits')!.data as Float32Array;
    for (const row of [0, 1]) {
      const own = [...logits.subarray(row * 10, row * 10 + 10)];
      const order = own.map((_, i) => i).sort((a, b) => own[b]! - own[a]!);
      const sum = own.reduce((total, v) => total + Math.exp(v), 0);
      const slice = (name: string) => Array.from(results.get(name)!.data as ArrayLike<unknown>).slice(4 * row, 4 * row + 4);
      expect(slice('top_classes').map(Number)).toEqual(order.slice(0, 4));
      expect(slice('top_labels')).toEqual(order.slice(0, 4).map((i) => labels[i]));
      const probabilities = order.slice(0, 4).map((i) => Math.exp(own[i]!) / sum);
      expectClose(slice('top_scores') as number[], probabilities, {rtol: 1e-5, because: 'exp in float32'});
    }
    expect(JSON.parse(model.metadata.get('labels')!)).toEqual(labels);
  });

  test('behind a model that prepares photographs itself', async () => {
    const recipe = fitted('bilinear', 9);
    const {model} = embedPreprocessing(tinyNetwork({side: SIDE}), {recipe, resizer: 'matrices'});
    const answering = addAnswers(model, {softmax: true, topK: 3, labels});
    const results = await run(answering, asBytes([photograph(20, 12, 'f')]));
    expect(results.get('top_labels')!.shape).toEqual([1, 3]);
  });

  test.each([
    ['softmax', (x: number) => x],
    ['logSoftmax', Math.exp],
    ['sigmoid', (x: number) => x],
  ] as const)('a network that ends in %s has its probabilities already', async (end, of) => {
    const model = addAnswers(tinyNetwork({side: SIDE, end: ends[end]}), {softmax: true, topK: undefined, labels: undefined});
    const data = new Float32Array(3 * SIDE * SIDE);
    fillUniform(data, 'x', -1, 1);
    const results = await run(model, float32([1, 3, SIDE, SIDE], data));
    const last = [...(results.get(model.graph.outputs[0]!.name)!.data as Float32Array)];
    expectClose([...(results.get('probabilities')!.data as Float32Array)], last.map(of), {
      rtol: 1e-6,
      because: 'exp in float32',
    });
  });

  test('the best classes are those of the logits, whatever stands before them among the outputs', () => {
    const model = tinyNetwork({side: SIDE});
    model.graph.outputs.unshift(model.graph.value('flat')!);
    const {graph} = addAnswers(model, {softmax: true, topK: 2, labels: undefined});
    expect(graph.value('probabilities')!.producer!.inputs[0]!.name).toBe('logits');
  });

  test('of the logits, without softmax; too many or the wrong labels are refused', () => {
    const {graph} = addAnswers(tinyNetwork(), {softmax: false, topK: 2, labels: undefined});
    expect(graph.outputs.map(({name}) => name)).toEqual(['logits', 'top_scores', 'top_classes']);
    const refused = (topK: number, own: string[]) => () => addAnswers(tinyNetwork(), {softmax: true, topK, labels: own});
    expect(refused(11, labels)).toThrow(expect.objectContaining({code: 'SHAPE_MISMATCH'}));
    expect(refused(2, ['one'])).toThrow(expect.objectContaining({code: 'SHAPE_MISMATCH'}));
  });
});

test('a recipe that cannot be put inside, or an opset without what it takes, is refused', () => {
  const code = expect.objectContaining({code: 'EXPORT_REFUSED'});
  const embed = (recipe: Recipe, resizer: 'matrices' | 'resize-op', model = tinyNetwork()) =>
    embedPreprocessing(model, {recipe, resizer});
  expect(() => embed(fitted('bilinear', 7), 'matrices')).toThrow(code);
  expect(() => embed(recipes.cnn(16), 'matrices')).toThrow(code);
  expect(() => embed(fitted('bilinear', 9), 'resize-op')).toThrow(code); // tinyNetwork has opset 17
  expect(() => embed(fitted('bilinear', 9), 'matrices', embed(fitted('bilinear', 9), 'matrices').model)).toThrow(code);
  expect(resizerNames).toEqual(['matrices', 'resize-op']);
});
