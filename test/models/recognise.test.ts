/** What a checkpoint is, from names and shapes alone: every published network at every ratio, every fixture, every golden. */
import {openCheckpoint} from '../../src/checkpoint/open.js';
import {fileSource} from '../../src/core/bytes.js';
import {type ArchName, archNames, archs} from '../../src/models/families/index.js';
import type {Architecture} from '../../src/models/layers.js';
import {leftOut, recognise} from '../../src/models/recognise.js';
import {manifestOf} from '../../src/models/walk.js';
import {isOrepaCandidate} from '../../src/reparam/modules.js';
import {fixtureCase, fixtureCases, fixtureNamed, GOLDENS, goldenCases} from '../cases.js';
import {describeShared} from '../shared.js';
import {shapesOnly} from './shapes-only.js';

const masked = (name: ArchName) => name.endsWith('_plus');
const widened = archNames.filter((name) => !masked(name)).flatMap((name) => [2, 3, 4].map((ratio) => [name, ratio] as const));

/** The same layers, in the same order, of the same sizes. */
const modulesOf = (arch: Architecture) => manifestOf(arch).modules;

describe('published networks, without any option', () => {
  test.each(archNames)('%s, plain', (name) => {
    const arch = archs[name].build();
    const r = recognise(shapesOnly(arch), undefined);
    expect([r.arch.name, r.kind, r.form.ratio, r.form.orepa.size, r.imageSize]).toEqual([name, 'plain', 1, 0, arch.imageSize]);
    expect(r.modules).toEqual(modulesOf(arch));
  });

  test.each(widened)('%s, teacher %i times as wide', (name, ratio) => {
    const arch = archs[name].build();
    for (const orepa of [false, true]) {
      const r = recognise(shapesOnly(arch, {ratio, orepa}), undefined);
      const candidates = r.modules.filter((m) => m.kind === 'conv' && isOrepaCandidate(m));
      expect([r.arch.name, r.kind, r.form.ratio]).toEqual([name, 'gpd', ratio]);
      expect([...r.form.orepa]).toEqual(orepa ? candidates.map((m) => m.name) : []);
      expect(r.modules).toEqual(modulesOf(arch));
    }
  });

  test.each(archNames)('%s with branches and without widening; deployed; with other classes', (name) => {
    const arch = archs[name].build(7);
    const branches = recognise(shapesOnly(arch, {orepa: true}), undefined);
    const hasCandidates = branches.form.orepa.size > 0;
    expect([branches.arch.name, branches.kind, branches.arch.classes]).toEqual([name, hasCandidates ? 'branches' : 'plain', 7]);
    const deployed = recognise(shapesOnly(arch, {biases: true}), undefined);
    const withoutBias = deployed.modules.some((m) => m.kind === 'conv' && !m.bias);
    expect([deployed.arch.name, deployed.kind]).toEqual([name, withoutBias ? 'deployed' : 'plain']);
  });

  test.each(archNames)('%s is what --arch %s says', (name) => {
    expect(recognise(shapesOnly(archs[name].build()), undefined, {arch: name}).arch.name).toBe(name);
  });
});

test('the ratio comes from the option, else from args, else from the width of the stem', () => {
  const stored = shapesOnly(archs.resnet18.build(), {ratio: 2});
  const from = (args?: [string, unknown][], ratio?: number) => {
    const {evidence} = recognise(stored, args && new Map(args), {ratio});
    return evidence.find(({what}) => what === 'ratio')!.from;
  };
  expect(from([['gpd_ratio', 2]], 2)).toBe('--ratio');
  expect(from([['gpd_ratio', 2]])).toBe('args.gpd_ratio');
  expect(from()).toContain('conv1 has 128 channels');
});

const fixtureOf = (title: string) => fixtureNamed(title.split(', ')[0]!);

test.each(fixtureCases)('%s', (title, open) => {
  const {arch, ratio, orepa} = fixtureOf(title);
  const r = open().recognise();
  expect([r.arch.name, r.form.ratio, r.form.orepa.size > 0, r.arch.classes]).toEqual([arch.name, ratio, orepa, arch.classes]);
  expect(r.modules).toEqual(manifestOf(arch, r.imageSize).modules);
});

test('every key is used, or ignored with a reason', () => {
  for (const [title, open] of fixtureCases) {
    const r = open().recognise();
    const ignored = r.keys.filter(({use}) => use === 'ignored');
    expect([title, ignored.filter(({reason}) => !reason)]).toEqual([title, []]);
    const reasons = new Set(ignored.map(({reason}) => reason));
    const expected = ['counts training batches', ...(r.reviewKd ? ['ReviewKD feature fusion, used in training alone'] : [])];
    expect([title, [...reasons].sort()]).toEqual([title, expected.sort()]);
  }
});

test("modules of a loss beside the student are training's, by the names that our losses give them", () => {
  const {path, flags} = fixtureCase(fixtureNamed('resnet18_reviewkd_r3.pth.tar'), 'weights');
  const {stateDict, args} = openCheckpoint(fileSource(path));
  const renamed = (to: string) => new Map([...stateDict].map(([key, t]) => [key.replace(/^abfs/, to), t] as const));
  const {keys} = recognise(renamed('connector_hint'), args, flags);
  const own = keys.filter(({key}) => key.startsWith('connector_hint'));
  expect(own.some(({key}) => key.startsWith('connector_hint_dual.'))).toBe(true);
  expect(new Set(own.map(({reason}) => reason))).toEqual(new Set(['module of a distillation loss, used in training alone']));
  const foreign = recognise(renamed('regressor'), args, flags);
  expect(leftOut(foreign)).toEqual(foreign.keys.flatMap(({key}) => (key.startsWith('regressor') ? [key] : [])));
  expect(leftOut(foreign).length).toBeGreaterThan(1);
  expect(() => recognise(renamed('gate'), args, flags)).toThrow(/no place for 'gate/);
});

test('the student reads its own statistics, the teacher the running ones', () => {
  const [, open] = fixtureCases[0]!;
  const use = new Map(
    open()
      .recognise()
      .keys.map(({key, use}) => [key, use]),
  );
  const leaves = ['weight', 'running_mean', 'running_var', 'tiny_running_mean', 'tiny_running_var', 'num_batches_tracked'];
  expect(leaves.map((leaf) => use.get(`bn1.${leaf}`))).toEqual(['both', 'teacher', 'teacher', 'student', 'student', 'ignored']);
});

describeShared(GOLDENS, 'goldens', () => {
  const published: Record<string, string> = {
    resnet18: 'resnet18',
    resnet34: 'resnet34',
    resnet50: 'resnet50',
    mobilenet: 'mobilenet',
    rvt: 'rvt-',
  };
  test.each(goldenCases)('%s', (title, open) => {
    const r = open().recognise();
    const family = /resnet\d+|mobilenet|rvt/.exec(title)?.[0] ?? 'resnet18'; // 12 and 14 are of ResNet-18
    expect(r.arch.name.startsWith(published[family]!) || r.arch.name.startsWith('rvt_plus-')).toBe(true);
    expect(r.form.orepa.size > 0).toBe(/orepa|^12|^10b/.test(title));
    expect(r.reviewKd).toBe(title.includes('reviewkd'));
  });
});
