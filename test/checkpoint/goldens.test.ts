/** Files written by PyTorch itself, in every container that it has. They lie outside the repository. */
import {existsSync, mkdtempSync, readdirSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {openCheckpoint} from '../../src/checkpoint/open.js';
import {fileSource} from '../../src/core/bytes.js';
import {float32ToHalf} from '../../src/core/half.js';
import {bytesOf, leadingBlock, type StateDict} from '../../src/core/tensor.js';
import {describeShared, shared} from '../shared.js';
import {refusal} from './assembler.js';

const FOLDER = 'goldens/convert';
const path = (name: string) => shared(FOLDER, name, 'checkpoint.pth.tar');
const golden = (name: string, options?: {ema: boolean}) => openCheckpoint(fileSource(path(name)), options);

/** Reads with the working directory in an empty folder, which must stay empty: nothing is executed, nothing written. */
function inEmptyFolder<T>(action: () => T): T {
  const before = process.cwd();
  const folder = mkdtempSync(join(tmpdir(), 'checkpoint-'));
  process.chdir(folder);
  try {
    return action();
  } finally {
    process.chdir(before);
    expect(readdirSync(folder)).toEqual([]);
  }
}

describeShared(FOLDER, 'the same tensors in every container', () => {
  let expected: StateDict;
  beforeAll(() => {
    expected = golden('01_resnet18_r2_orepa').stateDict;
  });

  test.each([
    ['12a_bare', null, ''],
    ['12b_legacy', 'state_dict', ''],
    ['12c_ddp_prefix', 'state_dict', 'module.'],
    ['12e_full_saver', 'state_dict', ''],
    ['12f_strided_views', 'state_dict', ''],
    ['12g_torch2_records', 'state_dict', ''],
  ])('%s', (name, key, prefix) => {
    const checkpoint = golden(name);
    expect([checkpoint.stateDictKey, checkpoint.prefix, checkpoint.ignored.filter(({key}) => key.includes('.'))]).toEqual([
      key,
      prefix,
      [],
    ]);
    expect([...checkpoint.stateDict.keys()]).toEqual([...expected.keys()]);
    for (const [key, source] of checkpoint.stateDict) {
      const whole = expected.get(key)!.read();
      expect([key, source.dtype, source.shape]).toEqual([key, whole.dtype, whole.shape]);
      expect([key, Buffer.compare(bytesOf(source.read()), bytesOf(whole))]).toEqual([key, 0]);
      const half = whole.shape.map((n) => Math.ceil(n / 2));
      expect([key, Buffer.compare(bytesOf(source.read(half)), bytesOf(leadingBlock(whole, half)))]).toEqual([key, 0]);
    }
    checkpoint.close();
  });

  test('12d_float16: rounded', () => {
    for (const [key, source] of golden('12d_float16').stateDict) {
      const whole = expected.get(key)!.read();
      const rounded = whole.dtype === 'float32' ? float32ToHalf(whole.data as Float32Array) : whole.data;
      expect([key, [...source.read().data]]).toEqual([key, [...rounded]]);
    }
  });

  test('12e_full_saver: options, EMA, and what is left aside', () => {
    const checkpoint = golden('12e_full_saver', {ema: true});
    expect(checkpoint.stateDictKey).toBe('state_dict_ema');
    expect([...checkpoint.stateDict.keys()]).toEqual([...expected.keys()]);
    expect(Object.fromEntries(checkpoint.meta)).toEqual({epoch: 98, arch: 'resnet18', version: 2, metric: 71.84});
    expect(checkpoint.args?.get('gpd_ratio')).toBe(2);
    expect(checkpoint.args?.get('use_orepa')).toBe(true);
    expect(checkpoint.ignored.map(({key}) => key)).toEqual(['state_dict', 'optimizer']);
    expect(checkpoint.available.map(({key, tensors}) => [key, tensors])).toEqual([
      ['state_dict', 318],
      ['state_dict_ema', 318],
    ]);
    const key = 'layer4.1.conv2.weight_orepa_origin';
    expect(Buffer.compare(bytesOf(checkpoint.stateDict.get(key)!.read()), bytesOf(expected.get(key)!.read()))).not.toBe(0);
  });

  test('11c_plain_rvt is under the key model', () => expect(golden('11c_plain_rvt').stateDictKey).toBe('model'));
});

describeShared(FOLDER, 'bad containers', () => {
  test.each([
    ['13a_truncated', 'CHECKPOINT_TRUNCATED'],
    ['13a2_truncated_legacy', 'CHECKPOINT_TRUNCATED'],
    ['13b_corrupt_pickle', 'PICKLE_INVALID'],
    ['13c_malicious_zip', 'PICKLE_UNSUPPORTED'],
    ['13c2_malicious_legacy', 'PICKLE_UNSUPPORTED'],
    ['13c3_malicious_extra', 'PICKLE_UNSUPPORTED'],
    ['13c4_malicious_plain_pickle', 'FORMAT_UNKNOWN'],
    ['13g_empty', 'FORMAT_UNKNOWN'],
    ['13h_not_pytorch', 'FORMAT_UNKNOWN'],
    ['13h2_png', 'FORMAT_UNKNOWN'],
    ['13i_zip_without_pickle', 'CHECKPOINT_CORRUPT'],
    ['13j_missing_storage', 'CHECKPOINT_CORRUPT'],
    ['13k_short_storage', 'CHECKPOINT_CORRUPT'],
    ['13m_no_tensors', 'STATE_DICT_NOT_FOUND'],
  ])('%s', (name, code) => {
    const error = inEmptyFolder(() => refusal(() => golden(name)));
    expect(error.code).toBe(code);
    expect(error.message).toContain(path(name));
  });

  test('13b2_flipped_bit: found when read in full, and by a check of the whole', () => {
    const checkpoint = golden('13b2_flipped_bit');
    expect(checkpoint.verifyCrc().mismatches).toEqual(['layer4.0.conv2.weight']);
    expect(refusal(() => checkpoint.stateDict.get('layer4.0.conv2.weight')!.read()).code).toBe('CHECKPOINT_CORRUPT');
  });

  test('where only the network is wrong, the container is read', () => {
    for (const name of ['13d_missing_tensor', '13e_wrong_shape', '13f_nan', '13l_other_model']) {
      for (const source of golden(name).stateDict.values()) source.read();
    }
  });
});

describeShared('data/pretrained', 'published files', () => {
  test.each([
    ['resnet20-12fca82f.th', 'conv1.weight', 'linear.bias', [16, 3, 3, 3]],
    ['resnet56-4bfd9763.th', 'conv1.weight', 'linear.bias', [16, 3, 3, 3]],
  ])('%s', (file, first, last, shape) => {
    const source = shared('data/pretrained', file);
    if (!existsSync(source)) return;
    const checkpoint = openCheckpoint(fileSource(source));
    const keys = [...checkpoint.stateDict.keys()];
    expect([checkpoint.format, checkpoint.prefix, keys[0], keys.at(-1)]).toEqual(['torch-legacy', 'module.', first, last]);
    expect(checkpoint.stateDict.get(first)!.shape).toEqual(shape);
    expect([...(checkpoint.stateDict.get(last)!.read().data as Float32Array)].every(Number.isFinite)).toBe(true);
    expect(checkpoint.meta.get('best_prec1')).toBeGreaterThan(90);
  });
});
