/** What plain JavaScript can get wrong is refused before any work, as the commands refuse it. */
import {bench, convertFile, evaluate, exportModel, inspect, train, verify} from '../../src/library/commands.js';
import {fixturePath} from '../cases.js';

const checkpoint = fixturePath('cifar_resnet20_r2_orepa.pth.tar');
const as = <T>(value: unknown) => value as T;

const wrong: readonly [what: string, call: () => Promise<unknown>, message: RegExp][] = [
  ['no models', () => evaluate([], {data: 'x'}), /models \[\]: expected a list, not empty/],
  ['no path', () => inspect(as(undefined)), /path null: expected text/],
  ['no images', () => evaluate(['a.onnx'], as({})), /needs the option 'data'/],
  ['no options', () => evaluate(['a.onnx'], as(undefined)), /takes an object of options/],
  ['a name in other letters', () => verify('a', 'b', as({onprogress: () => {}})), /no option 'onprogress'/],
  ['an opset beyond the last', () => exportModel('a.onnx', {opset: 99}), /opset 99: expected a whole number from 13 to 23/],
  ['an opset before the first', () => convertFile(checkpoint, {outputs: {}, opset: 3}), /opset 3/],
  [
    'a precision that is none',
    () => exportModel('a.onnx', as({precisions: ['fp12']})),
    /\["fp12"\]: expected a list, each one of fp32/,
  ],
  ['a gate that is none', () => exportModel('a.onnx', as({gates: {maxdrop: 1}, data: 'x'})), /an object of minTop1/],
  ['a filter that is none', () => evaluate(['a'], as({data: 'x', overrides: {interpolation: 'cubic'}})), /overrides/],
  ['a form that is none', () => convertFile(checkpoint, as({outputs: {pupil: 'x'}})), /paths by name: student/],
  ['a provider that is none', () => bench(['a.onnx'], as({provider: 'tpu'})), /expected one of auto, cuda/],
  ['half a thread', () => bench(['a.onnx'], {threads: [0.5]}), /threads \[0.5\]/],
  ['one round', () => bench(['a.onnx'], {rounds: 1}), /rounds 1: expected a whole number from 2/],
  ['a signal that is none', () => verify('a', 'b', as({signal: true})), /expected an AbortSignal/],
  ['a preset that is none', () => train({}, as({preset: 'resnet'})), /preset "resnet": expected one of/],
  ['a number for a list', () => train(as({'crop-area': 3})), /crop-area 3/],
  ['text for a number', () => train(as({'batch-size': 'many'})), /batch-size many: expected a whole number/],
];

test.each(wrong)('%s', async (_, call, message) => {
  await expect(call()).rejects.toMatchObject({
    name: 'GpdError',
    code: 'CONFIG_INVALID',
    message: expect.stringMatching(message),
  });
});

test('undefined is absent', async () => {
  expect(await inspect(checkpoint, {text: undefined, arch: undefined})).toMatchObject({kind: 'checkpoint'});
});
