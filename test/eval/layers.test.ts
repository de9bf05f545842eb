/** The first layer that differs is found, and what is wrong with it said, whatever the other file calls its layers. */
import {renderVerification} from '../../src/cli/render/verification.js';
import {styleFor} from '../../src/cli/terminal/style.js';
import {buildModel, referenceForm} from '../../src/convert/build.js';
import {float32, type Tensor, toFloat32} from '../../src/core/tensor.js';
import {type InputGroup, randomInputs} from '../../src/eval/inputs.js';
import {isCounted, pathOfName, pathOfWeight, wrappersOf} from '../../src/eval/layers/module-paths.js';
import {type Subject, subjectOfModel} from '../../src/eval/subject.js';
import {type Verification, verify} from '../../src/eval/verify.js';
import type {Model, Node} from '../../src/onnx/graph.js';
import {runPasses} from '../../src/onnx/pass.js';
import {minimalPasses} from '../../src/onnx/passes/index.js';
import {fixtureCase, fixtureNamed} from '../cases.js';
import {type Mistakes, type NameStyle, renamed} from './renamed.js';

/** Of each family: a layer with a batch norm, one of the same shape, and what stands before it. */
const networks = {
  resnet: {file: 'resnet18_r2_orepa_ema.pth.tar', layer: 'layer2.1.conv1', other: 'layer2.1.conv2', norm: 'layer2.1.bn1'},
  mobilenet: {file: 'mobilenet_r2_orepa.pth.tar', layer: 'model.9.0', other: 'model.11.0', norm: 'model.9.1'},
  rvt: {
    file: 'rvt_r2_orepa.pth.tar',
    layer: 'transformers.0.blocks.0.mlp.fc1',
    other: 'transformers.0.blocks.1.mlp.fc1',
    norm: 'transformers.0.blocks.0.mlp.bn1',
  },
} as const;
type Family = keyof typeof networks;
const families = Object.keys(networks) as Family[];

const recognised = (family: Family) => fixtureCase(fixtureNamed(networks[family].file), 'weights').recognise();
const checkpoint = async (family: Family): Promise<Model> => referenceForm(recognised(family), 'student', {});
const folded = async (family: Family): Promise<Model> => (await buildModel(recognised(family), 'student')).model;
const asSubject = (model: Model, name: string): Subject => subjectOfModel(name, 'student', model);
const inputs = (subject: Subject): InputGroup[] => [...randomInputs(subject.input.side, 0, 6, 6)];

async function hold(reference: Model, actual: Model): Promise<Verification> {
  const [a, b] = [asSubject(reference, 'reference.pth'), asSubject(actual, 'export.onnx')];
  return verify({reference: a, actual: b, inputs: inputs(a)});
}

const zeroed = (t: Tensor): Tensor => float32(t.shape, new Float32Array(toFloat32(t).data.length));
const isNorm = ({opType}: Node) => opType === 'BatchNormalization';
const int = (value: number) => ({kind: 'int', value}) as const;

/** The numbers of two initializers exchanged. */
function exchanged(model: Model, first: string, second: string): Mistakes['weights'] {
  const numbers = (name: string) => model.graph.value(name)!.initializer!.read();
  const [one, two] = [numbers(first), numbers(second)];
  return (name, own) => (name === first ? two : name === second ? one : own);
}

describe.each(families)('%s', (family) => {
  const {layer, other, norm} = networks[family];

  test.each<NameStyle>(['scoped', 'counted', 'weights'])(
    'an export with names of the style %s is matched throughout',
    async (style) => {
      const [a, b] = [asSubject(await checkpoint(family), 'a'), asSubject(renamed(await folded(family), style), 'b')];
      const {ok, divergence} = await verify({reference: a, actual: b, inputs: inputs(a), layers: true});
      expect([ok, divergence!.first, divergence!.unmatched.actual]).toEqual([true, undefined, []]);
      expect(divergence!.compared).toBeGreaterThan(20);
      expect(divergence!.matched.correlation).toBeUndefined();
    },
  );

  test.each<NameStyle>(['scoped', 'counted', 'weights'])('a dropped bias, style %s', async (style) => {
    const weights = (name: string, t: Tensor) => (name === `${layer}.bias` ? zeroed(t) : t);
    const {ok, divergence} = await hold(await checkpoint(family), renamed(await folded(family), style, {weights}));
    expect(ok).toBe(false);
    expect(divergence!.first).toMatchObject({module: layer, referenceName: norm});
    expect(divergence!.diagnosis).toMatchObject([{kind: 'bias', text: expect.stringMatching(/^a dropped bias/)}]);
    expect(divergence!.agreesTo).toBeLessThan(1e-5);
  });

  test.each<NameStyle>(['scoped', 'counted'])('another epsilon in a batch norm, folded, style %s', async (style) => {
    const other = await checkpoint(family);
    const node = other.graph.value(norm)!.producer!;
    (node.attributes as Map<string, unknown>).set('epsilon', {kind: 'float', value: 0.01});
    await runPasses(other, minimalPasses);
    const {divergence} = await hold(await checkpoint(family), renamed(other, style));
    expect(divergence!.first).toMatchObject({module: layer, referenceName: norm});
    expect(divergence!.diagnosis).toMatchObject([{kind: 'epsilon', text: expect.stringContaining('about 0.01 where')}]);
  });

  test('another epsilon in every batch norm that is a node, against a folded student', async () => {
    const epsilon = {kind: 'float', value: 0.01} as const;
    const actual = renamed(await checkpoint(family), 'weights', {
      attributes: (node): Record<string, never> | {epsilon: typeof epsilon} => (isNorm(node) ? {epsilon} : {}),
    });
    const {divergence} = await hold(await folded(family), actual);
    expect(divergence!.first!.operator).toBe('BatchNormalization');
    expect(divergence!.diagnosis).toMatchObject([
      {kind: 'epsilon', text: expect.stringMatching(/about 0.01 where .* 0.00001$/)},
    ]);
  });

  test('train mode that the file states', async () => {
    const attributes = (node: Node) => (isNorm(node) ? {training_mode: int(1)} : ({} as Record<string, never>));
    const {verdict, divergence} = await hold(await folded(family), renamed(await checkpoint(family), 'scoped', {attributes}));
    expect(verdict).toBe('nothing'); // its answers are not a function of the image
    expect(divergence!.first!.operator).toBe('BatchNormalization');
    expect(divergence!.diagnosis[0]).toMatchObject({kind: 'train-mode', text: expect.stringContaining('training_mode = 1')});
  });

  test('train mode that was written as a normalisation of each image', async () => {
    const operator = (node: Node) =>
      isNorm(node)
        ? {
            opType: 'InstanceNormalization',
            inputs: 3,
            attributes: new Map([['epsilon', {kind: 'float', value: 1e-5} as const]]),
          }
        : undefined;
    const {divergence} = await hold(await checkpoint(family), renamed(await checkpoint(family), 'scoped', {operator}));
    expect(divergence!.first!.operator).toBe('InstanceNormalization');
    expect(divergence!.diagnosis).toMatchObject([{kind: 'train-mode'}]);
  });

  test.each<NameStyle>(['scoped', 'counted'])('two layers swapped, style %s', async (style) => {
    const model = await folded(family);
    const weights = exchanged(model, `${layer}.weight`, `${other}.weight`);
    const {divergence} = await hold(await checkpoint(family), renamed(model, style, {weights}));
    expect(divergence!.first).toMatchObject({module: layer});
    const text = `layers swapped: it has the weights of ${other}, and its own are in `;
    expect(divergence!.diagnosis).toMatchObject([{kind: 'other-layer', text: expect.stringContaining(text)}]);
  });

  test.each<NameStyle>(['scoped', 'counted'])('another padding, style %s', async (style) => {
    const model = await folded(family);
    const node = model.graph.nodes.filter(
      ({opType, inputs}) => opType === 'Conv' && (inputs[1]!.shape![2] as number) === 3,
    )[1]!;
    const attributes = (own: Node) =>
      own === node ? {pads: {kind: 'ints', value: [0, 0, 2, 2]} as const} : ({} as Record<string, never>);
    const {divergence} = await hold(await checkpoint(family), renamed(model, style, {attributes}));
    expect(divergence!.first).toMatchObject({module: node.inputs[1]!.name.replace('.weight', '')});
    expect(divergence!.diagnosis[0]).toMatchObject({
      kind: 'padding',
      text: expect.stringContaining('0,0,2,2 where the reference has 1,1,1,1'),
    });
  });
});

test('the terminal names the layer, what agrees before it, and what it looks like', async () => {
  const weights = (name: string, t: Tensor) => (name === 'layer2.1.conv1.bias' ? zeroed(t) : t);
  const result = await hold(await checkpoint('resnet'), renamed(await folded('resnet'), 'scoped', {weights}));
  const file = (name: string) => ({name, path: name, without: [], warnings: []});
  const more = {provider: {asked: 'cpu', used: 'cpu', reason: ''}, seed: 0, warnings: []} as const;
  const text = renderVerification({...result, ...more, reference: file('a'), actual: file('b')}, styleFor({}, {})).join(' ');
  expect(text).toMatch(
    /first to differ: layer2.1.conv1 \('\/layer2\/layer2.1\/conv1\/Conv_\d+_output_0', in\s+the reference 'layer2.1.bn1'\)/,
  );
  expect(text).toMatch(/everything\s+before it agrees to \d/);
  expect(text).toMatch(/looks like: a dropped bias/);
});

test('paths of modules', () => {
  const names = [
    '/layer3/layer3.0/conv2/Conv_output_0',
    '/features/features.1/conv/conv.0/conv.0.0/Conv',
    'StatefulPartitionedCall/resnet50/conv1_conv/BiasAdd:0',
    'layer3.0.bn2',
    'model.14',
  ];
  expect(names.map(pathOfName)).toEqual([
    'layer3.0.conv2',
    'features.1.conv.0.0',
    'resnet50.conv1_conv',
    'layer3.0.bn2',
    'model.14',
  ]);
  const weights = [
    'layer1.0.conv1.weight',
    'bn1.tiny_running_var',
    'net/conv1/Conv2D/ReadVariableOp:0',
    'shape_of_it',
    'onnx::Conv_193',
  ];
  expect(weights.map(pathOfWeight)).toEqual(['layer1.0.conv1', 'bn1', 'net.conv1', undefined, undefined]);
  expect(['123', 'input.4', 'onnx::Add_12', 'Conv_12', 'Relu_3', 'val_7', 'x.12'].every(isCounted)).toBe(true);
  expect(['conv1', 'layer1.0.relu', 'model.14', '/relu/Relu_output_0'].some(isCounted)).toBe(false);
  expect(
    wrappersOf(['conv1', 'layer1.0.conv1', 'fc'], ['model.net.conv1', 'model.net.layer1.0.conv1', 'model.net.fc']),
  ).toEqual([0, 2]);
});
