/** Models whose answers are not a function of the image say so, and are never called equal. */
import {expect, test} from '@jest/globals';
import {renderVerification} from '../../src/cli/render/verification.js';
import {styleFor} from '../../src/cli/terminal/style.js';
import {randomInputs} from '../../src/eval/inputs.js';
import {subjectOfModel} from '../../src/eval/subject.js';
import {verify} from '../../src/eval/verify.js';
import type {Graph, Value} from '../../src/onnx/graph.js';
import {parseModel} from '../../src/onnx/parse-text.js';
import {unsteadyNodes} from '../../src/onnx/unsteady.js';
import {tinyNetwork} from '../eval/networks.js';

const model = (opset: number, nodes: string) =>
  parseModel(`model opset ${opset}, ir 6, producer "p" "1"
    graph g (%x: f32[2, 4, 5, 6]) -> (%y)
      ${nodes}`);
const ONES = '%o = f32[4] {1, 1, 1, 1}\n ';

test.each([
  [17, '%y = RandomNormalLike(%x)', ["RandomNormalLike 'y' draws random numbers"]],
  [17, '%r: f32? = RandomUniform() {shape = [1]}\n %y: f32? = Mul(%x, %r)', ["RandomUniform 'r' draws random numbers"]],
  [17, '%y: f32? = Bernoulli(%x)', ["Bernoulli 'y' draws random numbers"]],
  [17, '%d = RandomNormalLike(%x)\n %y = Relu(%x)', []], // nothing depends on it
  [17, '%r = f32[] {0.5}\n %t = bool[] {1}\n %y: f32? = Dropout(%x, %r, %t)', ["Dropout 'y' is in training mode"]],
  [17, '%r = f32[] {0.5}\n %t = bool[] {0}\n %y: f32? = Dropout(%x, %r, %t)', []],
  [17, '%y = Dropout(%x)', []],
  [6, '%y = Dropout(%x)', ["Dropout 'y' is in training mode"]],
  [6, '%y = Dropout(%x) {is_test = 1}', []],
  [17, `${ONES}%y: f32? = BatchNormalization(%x, %o, %o, %o, %o)`, []],
  [
    17,
    `${ONES}%y: f32?, %m: f32?, %v: f32? = BatchNormalization(%x, %o, %o, %o, %o) {training_mode = 1}`,
    ["BatchNormalization 'y' is in training mode and normalises by the images of the batch"],
  ],
])('opset %i: %s', (opset, nodes, found) => {
  expect(unsteadyNodes(model(opset, nodes))).toEqual(found);
});

test('a model with noise is not called equal to itself, however small the noise is', async () => {
  const end = (graph: Graph, x: Value): Value => {
    const noise = graph.op('RandomNormalLike', [x], {scale: 1e-9}, {name: 'noise'});
    const noisy = graph.op('Add', [x, noise], {}, {name: 'noisy'});
    noisy.shape = x.shape;
    return noisy;
  };
  const subject = subjectOfModel('tiny.pth', 'student', tinyNetwork({end}));
  const result = await verify({reference: subject, actual: subject, inputs: randomInputs(8, 0, 4, 4)});
  const said = "RandomNormalLike 'noise' draws random numbers: its answers are not a function of the image";
  const why = `in tiny.pth (student) ${said}`;
  expect(result).toMatchObject({ok: false, verdict: 'nothing', proveNothing: [{output: 'noisy', why}]});
  expect(subject.warnings).toEqual([said]);
  const more = {provider: {asked: 'cpu', used: 'cpu', reason: ''}, seed: 0, warnings: []} as const;
  const lines = renderVerification({...result, ...more, reference: subject, actual: subject}, styleFor({}, {})).join('\n');
  expect(lines).toContain(`PROVES NOTHING  ${why}`);
  expect(lines).not.toMatch(/^equal/m);
});
