/** Files that a run starts from: which of their state dicts, under the run's own options. */
import {mkdtempSync, rmSync, writeFileSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import type {Writable} from '../../src/checkpoint/write-pickle.js';
import {orderedStateDict, writeTorch} from '../../src/checkpoint/write-torch.js';
import {float32, type StateDict, sourceOf, toFloat32} from '../../src/core/tensor.js';
import type {TrainOptions} from '../../src/train/options/options.js';
import {type StartingPoint, startingPoint} from '../../src/train/run/starting-point.js';
import {givenOptions, trainOptions} from '../../src/workflows/train-options.js';
import {collect, refusal} from '../checkpoint/assembler.js';

let folder = '';
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'gpd-start-'));
});
afterAll(() => rmSync(folder, {recursive: true}));

const start = (own: Partial<TrainOptions>): StartingPoint =>
  startingPoint(trainOptions(givenOptions({arch: 'cifar-resnet20', data: 'images', out: 'run', ratio: 1, ...own})), 10);
const network: StateDict = new Map([...start({}).initial.state].map(([key, t]) => [key, sourceOf(t)]));
/** The network, its first kernel multiplied. */
const times = (factor: number) =>
  orderedStateDict(
    new Map(
      [...network].map(([key, t]) => {
        if (key !== 'conv1.weight') return [key, t];
        const {shape, data} = toFloat32(t.read());
        return [
          key,
          sourceOf(
            float32(
              shape,
              data.map((v) => v * factor),
            ),
          ),
        ];
      }),
    ),
  );
const file = (name: string, entries: Record<string, Writable>): string => {
  const path = join(folder, name);
  writeFileSync(
    path,
    collect((sink) => writeTorch(new Map(Object.entries(entries)), sink)),
  );
  return path;
};
const first = ({initial}: StartingPoint) => initial.state.get('conv1.weight')!.data[0]! as number;
const own = toFloat32(network.get('conv1.weight')!.read()).data[0]!;

test('--pretrained takes the only network of a file, at any depth, and says what it leaves aside', () => {
  const path = file('nested.pth', {
    run: new Map<string, Writable>([
      ['net', times(2)],
      ['model_ema', times(3)],
    ]),
    epoch: 3,
  });
  const begun = start({pretrained: path});
  expect(first(begun)).toBeCloseTo(2 * own, 6);
  expect(begun.notes).toEqual([
    `${path}: averaged weights (EMA) in 'run.model_ema' are left aside; --pretrained-ema uses them`,
  ]);
  expect(first(start({pretrained: path, 'pretrained-ema': true}))).toBeCloseTo(3 * own, 6);
});

test.each(['pretrained', 'initial'] as const)('of several, --%s-key names one', (option) => {
  const path = file('two.pth', {student: times(2), best: times(5)});
  expect(refusal(() => start({[option]: path})).hint).toBe(
    `say which one is meant: --${option}-key student, or --${option}-key best`,
  );
  expect(first(start({[option]: path, [`${option}-key`]: 'best'}))).toBeCloseTo(5 * own, 6);
});

test('--teacher-key names one for the static teacher', () => {
  const path = file('teachers.pth', {a: times(2), b: times(5)});
  const teacher = {teacher: `cifar-resnet20:${path}`, kd: ['dkd']} as const;
  expect(refusal(() => start(teacher)).hint).toMatch('--teacher-key a, or --teacher-key b');
  const {config} = start({...teacher, 'teacher-key': 'b'});
  expect(config.staticTeacher!.state.get('conv1.weight')!.data[0]).toBeCloseTo(5 * own, 6);
});
