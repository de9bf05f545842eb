/** Every published network against its published size, and against the lists of tensors that the original's networks have. */
import {readFileSync} from 'node:fs';
import {filled, type TensorEntry} from '../../fixtures/fill.js';
import {fullSizeEntries} from '../../fixtures/full-size.js';
import {crc32} from '../../src/checkpoint/crc32.js';
import {bytesOf, elementCount, type Shape} from '../../src/core/tensor.js';
import {type ArchName, archNames, archs} from '../../src/models/families/index.js';
import {manifestOf, networkMacs} from '../../src/models/walk.js';
import {storedEntries} from '../../src/reparam/stored-tensors.js';
import {describeShared, shared} from '../shared.js';

/** What PyTorch counts: everything but statistics. */
const isParameter = ({key}: {key: string}) => !/(running_(mean|var)|num_batches_tracked|id_tensor|_prior|_avg_avg)$/.test(key);
const countOf = (entries: readonly {key: string; shape: Shape}[]) =>
  entries.filter(isParameter).reduce((n, {shape}) => n + elementCount(shape), 0);
const plainEntries = (name: ArchName) => storedEntries(manifestOf(archs[name].build()).modules, 1, () => false);

test.each(archNames)('%s has its published number of parameters', (name) => {
  expect(countOf(plainEntries(name))).toBe(archs[name].params);
});

test('the numbers in the table are those of the papers, in millions', () => {
  const millions = (name: ArchName) => Math.round(archs[name].params / 1e5) / 10;
  // He et al. 2016 by torchvision's documentation; Howard et al. 2017, table 8; Mao et al. 2022, table 2
  const published = {resnet18: 11.7, resnet34: 21.8, resnet50: 25.6, resnet101: 44.5, resnet152: 60.2, mobilenet: 4.2};
  const vision = {rvt_tiny: 8.6, rvt_small: 22.1, rvt_base: 86.2, rvt_tiny_plus: 11, rvt_small_plus: 23.3};
  for (const [name, count] of Object.entries({...published, ...vision}))
    expect([name, millions(name as ArchName)]).toEqual([name, count]);
});

const FULL = 'goldens/full';
interface FullManifest {
  params_student_plain: number;
  params_teacher_training_form: number;
  elements: number;
  state_dict: (TensorEntry & {dev_crc32: string})[];
}
const read = (file: string) => JSON.parse(readFileSync(shared(FULL, file), 'utf8'));
const full: [file: string, name: ArchName][] = [
  ['resnet18', 'resnet18'],
  ['MobileNet', 'mobilenet'],
  ['rvt_tiny', 'rvt_tiny'],
];
/** Larger tensors would take most of the time and show nothing new. */
const MAX_FILLED = 2 ** 18;

describeShared(FULL, 'full size, against the original', () => {
  test.each(full)('%s: names, shapes, types and order of a GPD checkpoint', (file, name) => {
    const manifest: FullManifest = read(`${file}.manifest.json`);
    const expected = manifest.state_dict.map(({name: key, shape, dtype}) => ({key, shape, dtype}));
    const own = fullSizeEntries(name).map(({key, shape, dtype}) => ({key, shape, dtype}));
    expect(own).toEqual(expected);
    expect(countOf(own.filter(({key}) => !key.includes('tiny_')))).toBe(manifest.params_teacher_training_form);
    expect(archs[name].params).toBe(manifest.params_student_plain);
  });

  test.each(full)('%s: multiply-accumulates of the student', (file, name) => {
    const {conv_linear, attention_matmul} = read(`${file}.deployed.manifest.json`).macs_224_batch1;
    expect(networkMacs(manifestOf(archs[name].build()).records, 1)).toBe(conv_linear + attention_matmul);
  });

  test.each(full)('%s: the formula gives the same bits', (file) => {
    const manifest: FullManifest & {fill_dev_input_crc32: string} = read(`${file}.manifest.json`);
    const crcOf = (name: string, shape: Shape) =>
      crc32(bytesOf(filled('dev', name, shape).read()))
        .toString(16)
        .padStart(8, '0');
    const small = manifest.state_dict.filter(({shape}) => elementCount(shape) <= MAX_FILLED);
    expect(small.length).toBeGreaterThan(250);
    for (const {name, shape, dev_crc32} of small) expect([name, crcOf(name, shape)]).toEqual([name, dev_crc32]);
    expect(crcOf('input', [1, 3, 224, 224])).toBe(manifest.fill_dev_input_crc32);
  });

  test('a part of a filled tensor is that part of the whole', () => {
    const source = filled('dev', 'layer1.0.conv1.weight', [6, 5, 3, 3]);
    const [whole, part] = [source.read().data, source.read([2, 3, 3, 3]).data];
    expect([...part]).toEqual([...whole.slice(0, 27), ...whole.slice(45, 72)]);
  });
});
