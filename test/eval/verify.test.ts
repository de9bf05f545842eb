/** Equal models are equal, and a disturbed weight is found in the layer it belongs to. */
import {renderVerification} from '../../src/cli/render/verification.js';
import {styleFor} from '../../src/cli/terminal/style.js';
import {float32, toFloat32} from '../../src/core/tensor.js';
import {edgeInputs, type InputGroup, randomInputs} from '../../src/eval/inputs.js';
import {runImages} from '../../src/eval/logits.js';
import {distinguish, type Subject, subjectOfModel} from '../../src/eval/subject.js';
import {statisticsOf} from '../../src/eval/tensor-statistics.js';
import {pairOutputs, verify} from '../../src/eval/verify.js';
import {macsOf} from '../../src/onnx/macs.js';
import {ends, type TinyOptions, tinyNetwork} from './networks.js';

const subject = (options: TinyOptions = {}): Subject => subjectOfModel('tiny.pth', 'student', tinyNetwork(options));
const inputs = (): InputGroup[] => [...randomInputs(8, 0, 10, 4), edgeInputs(8, 0)];

test('a model against itself: no difference, on every kind of input', async () => {
  const {ok, outputs, divergence} = await verify({reference: subject(), actual: subject({batch: 3}), inputs: inputs()});
  expect(ok).toBe(true);
  expect(outputs.map(({kind, images, sameTop1}) => [kind, images, sameTop1])).toEqual([
    ['random', 10, 10],
    ['edge', 10, 10],
  ]);
  expect(Math.max(...outputs.map((o) => o.relative))).toBeLessThan(1e-5);
  expect(divergence).toBeUndefined();
});

test.each([
  ['conv1.bias', 'conv1', undefined],
  ['conv2.weight', 'conv2', 'relu1'],
  ['fc.bias', 'logits', 'flat'],
])('a disturbed %s is found in %s', async (name, layer, before) => {
  const {ok, divergence, worst} = await verify({
    reference: subject(),
    actual: subject({disturb: {name, by: 0.01}}),
    inputs: inputs(),
  });
  expect(ok).toBe(false);
  expect(divergence!.first!.name).toBe(layer);
  expect(divergence!.lastEqual?.name).toBe(before);
  expect(divergence!.first!.maxAbs).toBeGreaterThan(0);
  expect(worst!.relative).toBeGreaterThan(1e-4);
});

test.each([
  ['softmax', ["Softmax 'prob'"]],
  ['logSoftmax', ["LogSoftmax 'logprob'"]],
  ['softmaxInHalf', ["Softmax 'prob'", "Cast 'half'"]],
] as const)('what one model alone computes at its end is named: %s', async (end, nodes) => {
  const [plain, longer] = [subject(), subject({end: ends[end]})];
  const {ok, divergence} = await verify({reference: plain, actual: longer, inputs: inputs()});
  expect([ok, divergence!.first, divergence!.tails]).toEqual([false, undefined, {reference: [], actual: nodes}]);
  const back = await verify({reference: longer, actual: plain, inputs: inputs()});
  expect(back.divergence!.tails).toEqual({reference: nodes, actual: []});
});

test('a softmax at the end is named where values have no common name', async () => {
  const model = tinyNetwork({end: ends.softmax});
  for (const node of model.graph.nodes) model.graph.rename(node.output, `other/${node.output.name}`);
  const {divergence} = await verify({reference: subject(), actual: subjectOfModel('b', 'student', model), inputs: inputs()});
  expect(divergence).toMatchObject({compared: 6, first: undefined, tails: {reference: [], actual: ["Softmax 'prob'"]}});
});

test('the table is what comparing all numbers at once gives', async () => {
  const [a, b] = [subject(), subject({disturb: {name: 'fc.weight', by: 0.001}})];
  const [group] = [...randomInputs(8, 1, 16, 16)];
  const {outputs} = await verify({reference: a, actual: b, inputs: [group!], tolerance: 1e-9});
  const [want, got] = await Promise.all(
    [a, b].map(async (s) => {
      const session = await s.open({});
      return runImages(session, s, group!.images);
    }),
  );
  const differences = [...want!].map((v, i) => Math.abs(v - got![i]!)).sort((x, y) => x - y);
  const [row] = outputs;
  expect(row!.maxAbs).toBeCloseTo(differences.at(-1)!, 6);
  expect(row!.exceeding).toBe(16);
  expect(row!.p50 / differences[Math.ceil(differences.length / 2) - 1]!).toBeCloseTo(1, 1);
});

test('NaN in one model alone is no agreement', async () => {
  const broken = subject({disturb: {name: 'fc.bias', by: Number.NaN}});
  const {ok, outputs} = await verify({reference: subject(), actual: broken, inputs: inputs()});
  expect(ok).toBe(false);
  expect(outputs[0]).toMatchObject({exceeding: 10, maxAbs: Number.POSITIVE_INFINITY});
});

const changed = (name: string, to: (v: number) => number, options: TinyOptions = {}): Subject =>
  subject({...options, change: {name, to}});
const compared = (reference: Subject, actual: Subject) => verify({reference, actual, inputs: inputs()});

describe('logits of any size', () => {
  test.each([1e-30, 1e-9, 1e6])('times %d: equal to itself, not to its negation, not to a disturbed one', async (by) => {
    const scaled = changed('fc.', (v) => v * by);
    const same = await compared(
      scaled,
      changed('fc.', (v) => v * by, {batch: 3}),
    );
    expect([same.ok, same.verdict]).toEqual([true, 'same']);
    const negated = await compared(
      scaled,
      changed('fc.', (v) => -v * by),
    );
    expect(negated).toMatchObject({
      ok: false,
      verdict: 'different',
      outputs: [{exceeding: 10, sameTop1: 0, otherTop1: 10}, {exceeding: 10}],
    });
    const [{maxAbs, p50} = {maxAbs: 0, p50: 0}] = negated.outputs;
    expect([p50 > maxAbs / 1e3, p50 <= maxAbs]).toEqual([true, true]); // quantiles of tiny and of huge numbers are told too
    const disturbed = await compared(
      scaled,
      changed('fc.', (v) => (v + 0.01) * by),
    );
    expect(disturbed).toMatchObject({verdict: 'different', divergence: {first: {name: 'logits'}}});
  });
});

test('a single output has no class on top: the sign still counts', async () => {
  const one = (sign: number) => changed('fc.', (v) => sign * v, {classes: 1});
  const same = await compared(one(1), one(1));
  expect(same).toMatchObject({verdict: 'same', outputs: [{width: 1}, {width: 1}]});
  const place = {name: 'a', path: 'a', without: [], warnings: []};
  const more = {provider: {asked: 'cpu', used: 'cpu', reason: ''}, seed: 0, warnings: []} as const;
  const lines = renderVerification({...same, ...more, reference: place, actual: place}, styleFor({}, {}));
  expect(lines.filter((line) => /random|edge/.test(line)).map((line) => line.trim().split(/\s+/).at(-2))).toEqual(['–', '–']);
  expect((await compared(one(1), one(-1))).verdict).toBe('different');
});

test('outputs that do not depend on the input prove nothing', async () => {
  const dead = changed('fc.weight', () => 0);
  const both = await compared(
    dead,
    changed('fc.weight', () => 0, {batch: 3}),
  );
  const why = 'the outputs are the same for every input, to a ten-thousandth of the largest';
  expect(both).toMatchObject({ok: false, verdict: 'constant', proveNothing: [{output: 'logits', why}]});
  expect((await compared(subject(), dead)).verdict).toBe('different');
  const none = await verify({reference: subject(), actual: subject(), inputs: []});
  expect(none).toMatchObject({ok: false, verdict: 'nothing', proveNothing: [{why: 'no image was compared'}]});
});

test('a NaN in both is nothing that they agree on, and the layer is named', async () => {
  const broken = () => changed('conv2.bias', () => Number.NaN);
  const {ok, verdict, outputs, divergence} = await compared(broken(), broken());
  expect([ok, verdict]).toEqual([false, 'different']);
  expect(outputs[0]).toMatchObject({nonFinite: 10, exceeding: 10, sameTop1: 0});
  expect(divergence!.first!.name).toBe('conv2');
});

/** The tiny network with a second output. */
function withOutput(name: string, shape: readonly number[], numbers: readonly number[]): Subject {
  const model = tinyNetwork();
  const extra = model.graph.op('Identity', [model.graph.initializer(`${name}.constant`, float32(shape, numbers))], {}, {name});
  model.graph.outputs.push(extra);
  return subjectOfModel('two.pth', 'student', model);
}

test('outputs that are not compared are named, and so is why', async () => {
  const alone = await compared(withOutput('aux', [1], [3]), subject());
  expect(alone).toMatchObject({verdict: 'same', uncompared: [{output: 'aux', why: 'only one of the models has it'}]});
  const scalars = await compared(withOutput('aux', [1], [3]), withOutput('aux', [1], [4]));
  expect(scalars.uncompared).toEqual([{output: 'aux', why: 'its 1 numbers are not one row for each of 4 images'}]);
  const longer = await compared(withOutput('aux', [1], [3]), withOutput('aux', [2], [3, 4]));
  expect(longer.uncompared).toEqual([{output: 'aux', why: 'one has 1 numbers, the other 2'}]);
});

test('interrupted: the verdict is about what was seen, and says so', async () => {
  const controller = new AbortController();
  const onProgress = () => controller.abort();
  const result = await verify({
    reference: subject(),
    actual: subject(),
    inputs: inputs(),
    signal: controller.signal,
    onProgress,
  });
  expect(result).toMatchObject({complete: false, outputs: [{kind: 'random', images: 4}]});
});

test('models of different networks are refused', async () => {
  await expect(verify({reference: subject(), actual: subject({classes: 5}), inputs: []})).rejects.toMatchObject({
    code: 'SHAPE_MISMATCH',
  });
});

test('outputs: logits belong together, others by name', () => {
  const renamed = tinyNetwork();
  renamed.graph.rename(renamed.graph.outputs[0]!, 'scores');
  renamed.graph.outputs.push(renamed.graph.value('flat')!);
  const other = subjectOfModel('b', 'student', renamed);
  expect(pairOutputs(subject(), {...other, output: 'scores'})).toEqual({
    pairs: [['logits', 'scores']],
    unmatched: [{output: 'flat', why: 'only one of the models has it'}],
  });
  const withAux = withOutput('scores', [1], [3]); // an output of one model under the name of the other's logits
  expect(pairOutputs(withAux, {...other, output: 'scores'}).unmatched).toEqual([
    {output: 'scores', why: "the logits are 'logits' in one model and 'scores' in the other"},
    {output: 'flat', why: 'only one of the models has it'},
  ]);
});

test('two tables of classes are compared by name, in whatever order the models have them', async () => {
  const both = (output: 'logits' | 'prob') => {
    const model = tinyNetwork({end: ends.softmax});
    const tables = ['logits', 'prob'].map((name) => model.graph.value(name)!);
    model.graph.outputs = output === 'logits' ? tables : tables.reverse();
    return {...subjectOfModel(`${output} first`, 'student', model), output};
  };
  const result = await compared(both('logits'), both('prob'));
  expect(result).toMatchObject({verdict: 'same', uncompared: []});
  expect(result.outputs.map(({output}) => output)).toEqual(['logits', 'logits', 'prob', 'prob']);
});

test('what one model alone computes at its end is named where both outputs have one name', async () => {
  const model = tinyNetwork({end: ends.softmax});
  model.graph.rename(model.graph.value('logits')!, 'inner');
  model.graph.rename(model.graph.value('prob')!, 'logits');
  const longer = {...subjectOfModel('longer', 'student', model), output: 'logits'};
  const {divergence} = await verify({reference: subject(), actual: longer, inputs: inputs()});
  expect(divergence!.first).toBeUndefined(); // what the other calls its logits is found by its numbers
  expect(divergence!.tails).toEqual({reference: [], actual: ["Softmax 'prob'"]});
});

test('inputs are a function of the seed; every edge is another image', () => {
  const [first, again] = [edgeInputs(8, 3), edgeInputs(8, 3)];
  expect(first).toEqual(again);
  const images = first.names.map((_, i) => first.images.data.slice(i * 192, (i + 1) * 192).join());
  expect(new Set(images).size).toBe(first.names.length);
  expect([...randomInputs(8, 0, 10, 4)].map((g) => g.names.length)).toEqual([4, 4, 2]);
});

test('MACs: loops over the layers, for any batch', () => {
  const byHand = 64 * 8 * 3 * 9 + 64 * 8 * 8 * 9 + 8 * 10;
  expect(macsOf(tinyNetwork().graph)).toEqual({macs: byHand, integers: 0, unknown: 0});
  expect(macsOf(tinyNetwork({batch: 4}).graph).macs).toBe(byHand);
});

test('statistics of a tensor', () => {
  expect(statisticsOf([1, 2, 3, 4, Number.NaN])).toEqual({min: 1, max: 4, mean: 2.5, deviation: Math.sqrt(1.25), nonFinite: 1});
});

test('a subject tells its size; names become unique', () => {
  const s = subject();
  const constants = s.model().graph.initializers.map((v) => toFloat32(v.initializer!.read()).data.length);
  expect(s.size).toMatchObject({
    nodes: 7,
    parameters: constants.reduce((x, y) => x + y),
    operators: expect.arrayContaining([['Conv', 2]]),
  });
  expect(distinguish([s, s, s]).map((x) => x.name)).toEqual([
    'tiny.pth (student)',
    'tiny.pth (student) #2',
    'tiny.pth (student) #3',
  ]);
});
