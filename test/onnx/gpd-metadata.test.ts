/** Entries of our models are read as they were written; those of strangers are read as absent where they are in no form of ours. */
import {asStudentsProof, gpdEntries, readGpd} from '../../src/onnx/gpd-metadata.js';

test('what is written is read again, in the order given, and nothing that is undefined is written', () => {
  const values = {
    arch: 'resnet18',
    ratio: 2,
    proofMaxRelative: 1.25e-7,
    without: ['aux.weight'],
    labels: ['a', 'b'],
    kind: undefined,
  };
  const entries = new Map(gpdEntries(values));
  expect([...entries]).toEqual([
    ['gpd.arch', 'resnet18'],
    ['gpd.ratio', '2'],
    ['gpd.proof.max_relative', '1.250e-7'],
    ['gpd.without', '["aux.weight"]'],
    ['labels', '["a","b"]'],
  ]);
  const names = ['arch', 'ratio', 'proofMaxRelative', 'without', 'labels', 'kind'] as const;
  expect(names.map((name) => readGpd(entries, name))).toEqual(Object.values(values));
});

test.each([
  ['labels', 'labels', 'cat,dog'],
  ['labels', 'labels', '[1, 2]'],
  ['labels', 'labels', 'null'],
  ['gpd.preprocessing', 'preprocessing', '[]'],
  ['gpd.preprocessing', 'preprocessing', '{"side":'],
  ['gpd.ratio', 'ratio', 'two'],
  ['gpd.ratio', 'ratio', '2 of 3'],
  ['gpd.ratio', 'ratio', ' '],
] as const)('a stranger’s %s is read as absent', (key, name, text) => {
  expect(readGpd(new Map([[key, text]]), name)).toBeUndefined();
});

test('the proof of a student is not that of the forms made of it', () => {
  expect([
    ...asStudentsProof(
      new Map([
        ['gpd.proof.bound', '1e-4'],
        ['gpd.arch', 'x'],
      ]),
    ),
  ]).toEqual([
    ['gpd.student.proof.bound', '1e-4'],
    ['gpd.arch', 'x'],
  ]);
});
