/** What a path to a checkpoint may be beside a file: a folder of the hub, an index with its files, a folder that is something else. */
import {linkSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {checkpointSource} from '../../src/checkpoint/checkpoint-source.js';
import {openCheckpoint} from '../../src/checkpoint/open.js';
import {writeSafetensors} from '../../src/checkpoint/write-safetensors.js';
import {orderedStateDict, writeTorch} from '../../src/checkpoint/write-torch.js';
import {digestFiles} from '../../src/convert/digest.js';
import {float32, type StateDict, sourceOf} from '../../src/core/tensor.js';
import {collect, refusal} from './assembler.js';

let folder = '';
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'gpd-hub-'));
});
afterEach(() => rmSync(folder, {recursive: true}));
const at = (...path: string[]) => join(folder, ...path);

const weights = (values: Record<string, number>): StateDict =>
  new Map(Object.entries(values).map(([key, value]) => [key, sourceOf(float32([1, 2], [value, -value]))]));
const safetensors = (values: Record<string, number>) => collect((sink) => writeSafetensors(weights(values), sink));
const torch = (values: Record<string, number>) => collect((sink) => writeTorch(orderedStateDict(weights(values)), sink));
const put = (name: string, data: Uint8Array | string) => writeFileSync(at(name), data);
const index = (map: Record<string, unknown>, more = '') =>
  `{"metadata": {"total_size": 1.5e1}, ${more}"weight_map": ${JSON.stringify(map)}}`;

/** First numbers by key. */
const numbers = (path: string) => {
  const checkpoint = openCheckpoint(checkpointSource(path));
  const values = Object.fromEntries([...checkpoint.stateDict].map(([key, tensor]) => [key, tensor.read().data[0]]));
  checkpoint.close();
  return values;
};
const fails = (path: string) => {
  const {code, message, hint} = refusal(() => openCheckpoint(checkpointSource(path)));
  return `${code} ${message} ${hint}`;
};

describe('a folder', () => {
  test.each<[string, () => void]>([
    ['model.safetensors', () => put('model.safetensors', safetensors({a: 1}))],
    ['pytorch_model.bin', () => put('pytorch_model.bin', torch({a: 1}))],
    ['another name beside config.json', () => put('open_clip_model.safetensors', safetensors({a: 1}))],
    [
      'an index of safetensors',
      () => {
        put('model.safetensors.index.json', index({a: 'model-1.safetensors'}));
        put('model-1.safetensors', safetensors({a: 1}));
      },
    ],
  ])('with %s', (_, make) => {
    put('config.json', '{}');
    make();
    expect(numbers(folder)).toEqual({a: 1});
  });
  test('with two of them: the first is read, and the other is named', () => {
    put('model.safetensors', safetensors({a: 1}));
    put('pytorch_model.bin', torch({a: 2}));
    const {stateDict, warnings} = openCheckpoint(checkpointSource(folder));
    expect([stateDict.get('a')!.read().data[0], warnings]).toEqual([
      1,
      ['of the folder, model.safetensors is read; pytorch_model.bin is left aside'],
    ]);
  });
  test.each<[string, string[], RegExp]>([
    ['a distributed checkpoint', ['.metadata', '__0_0.distcp'], /FORMAT_UNKNOWN.*distributed checkpoint.*dcp_to_torch/],
    ['one of DeepSpeed', ['zero_to_fp32.py', 'mp_rank_00_model_states.pt'], /DeepSpeed.*zero_to_fp32.py/],
    ['TensorFlow', ['saved_model.pb'], /SavedModel/],
    ['several files', ['a.pth', 'b.pth'], /FILE_UNREADABLE.*is a directory.*name a file inside it: \S*a.pth, or \S*b.pth/],
    ['nothing', [], /FILE_UNREADABLE.*is a directory/],
  ])('that is %s is refused', (_, names, message) => {
    for (const name of names) put(name, 'x');
    expect(fails(folder)).toMatch(message);
  });
  test('a part of a distributed checkpoint', () => {
    put('.metadata', 'x');
    put('__0_0.distcp', 'x');
    expect(fails(at('__0_0.distcp'))).toMatch(/distributed checkpoint/);
  });
});

describe('a checkpoint in several files', () => {
  const map = {'module.a': '1.safetensors', 'module.b': '2.bin', 'module.c': '1.safetensors'};
  beforeEach(() => {
    put('1.safetensors', safetensors({'module.a': 1, 'module.c': 3}));
    put('2.bin', torch({'module.b': 2}));
    put('model.safetensors.index.json', index(map));
  });
  const path = () => at('model.safetensors.index.json');

  test('is one state dict, with one prefix and the checksums of all', async () => {
    const source = checkpointSource(path());
    const checkpoint = openCheckpoint(source);
    expect([checkpoint.prefix, numbers(path())]).toEqual(['module.', {a: 1, b: 2, c: 3}]);
    expect(source.files).toEqual([at('1.safetensors'), at('2.bin')]);
    expect(checkpoint.verifyCrc()).toMatchObject({checked: 1, mismatches: [], notRecorded: 2});
    const {damaged, checked} = await digestFiles(source.files, checkpoint.checksums());
    expect([damaged, checked]).toEqual([[], 1]);
    checkpoint.close();
  });
  test('a damaged byte in the second file is found by its checksum', async () => {
    const checkpoint = openCheckpoint(checkpointSource(path()));
    const checksums = checkpoint.checksums().map((c) => ({...c, crc: c.crc ^ 1}));
    expect((await digestFiles([at('1.safetensors'), at('2.bin')], checksums)).damaged).toEqual(['b']);
    checkpoint.close();
  });

  test.each<[string, string, RegExp]>([
    ['leaves the folder', index({a: '../2.bin'}), /FILE_UNREADABLE.*'\.\.\/2.bin' contains '\.\.'/],
    ['is absolute', index({a: '/etc/passwd'}), /FILE_UNREADABLE.*absolute/],
    ['is of another system', index({a: 'C:\\2.bin'}), /FILE_UNREADABLE.*backslash/],
    ['is missing', index({...map, d: '3.bin'}), /FILE_UNREADABLE.*checkpoint in 3 files, and 3.bin is not beside it/],
    ['has another tensor', index({...map, d: '2.bin'}), /CHECKPOINT_CORRUPT.*'d' should lie in \S*2.bin/],
    ['has one more', index({'module.a': '1.safetensors', 'module.b': '2.bin'}), /CHECKPOINT_CORRUPT.*has tensor 'module.c'/],
    ['is a number', index({a: 1}), /CHECKPOINT_CORRUPT.*'a' no file/],
    ['is there twice', index({}, '"weight_map": {"a": "2.bin"}, '), /CHECKPOINT_CORRUPT.*has the key 'weight_map' twice/],
    ['is none', index({}), /CHECKPOINT_CORRUPT.*names no tensors/],
    ['is text', 'weights', /CHECKPOINT_CORRUPT.*no weight_map/],
    ['is nested', `${'['.repeat(20)}${']'.repeat(20)}`, /CHECKPOINT_CORRUPT.*nested/],
  ])('a file in the index that %s is refused', (_, text, message) => {
    put('model.safetensors.index.json', text);
    expect(fails(path())).toMatch(message);
  });
  test('a tensor in two files is refused', () => {
    put('2.bin', torch({'module.b': 2, 'module.a': 5}));
    put('model.safetensors.index.json', index({...map}));
    expect(fails(path())).toMatch(/CHECKPOINT_CORRUPT.*'module.a' lies in two files/);
  });
  test('links lead nowhere, but into the store of the hub’s own cache', () => {
    mkdirSync(at('snapshots/r'), {recursive: true});
    mkdirSync(at('blobs'));
    writeFileSync(at('blobs/b1'), safetensors({a: 1}));
    writeFileSync(at('secret'), safetensors({a: 7}));
    const inside = at('snapshots/r/1.safetensors');
    writeFileSync(at('snapshots/r/model.safetensors.index.json'), index({a: '1.safetensors'}));
    symlinkSync('../../blobs/b1', inside);
    expect(numbers(at('snapshots/r'))).toEqual({a: 1});
    rmSync(inside);
    symlinkSync('../../secret', inside);
    expect(fails(at('snapshots/r'))).toMatch(/FILE_UNREADABLE.*symbolic link/);
    rmSync(inside);
    linkSync(at('secret'), inside);
    expect(fails(at('snapshots/r'))).toMatch(/FILE_UNREADABLE.*hard links/);
  });
  test('one state dict: there is no other to ask for', () => {
    expect(refusal(() => openCheckpoint(checkpointSource(path()), {ema: true})).code).toBe('STATE_DICT_NOT_FOUND');
    expect(refusal(() => openCheckpoint(checkpointSource(path()), {key: 'net'})).code).toBe('STATE_DICT_NOT_FOUND');
  });
});
