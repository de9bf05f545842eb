/** Rows of the list in docs/security.md that belong to no other file of tests. */
import {closeSync, ftruncateSync, openSync, writeSync} from 'node:fs';
import {join} from 'node:path';
import sharp from 'sharp';
import {describeValue} from '../../src/checkpoint/describe-tree.js';
import {openCheckpoint} from '../../src/checkpoint/open.js';
import {writeSafetensors} from '../../src/checkpoint/write-safetensors.js';
import {fileSource} from '../../src/core/bytes.js';
import {float32, type StateDict, sourceOf, type TensorSource, toFloat32} from '../../src/core/tensor.js';
import {decodeImage} from '../../src/data/image.js';
import {readLabelFile} from '../../src/data/label-file.js';
import {labelsOf} from '../../src/data/labels.js';
import {recognise} from '../../src/models/recognise.js';
import {decodeModel} from '../../src/onnx/decode.js';
import {modelBytes} from '../../src/onnx/encode.js';
import {parseModel} from '../../src/onnx/parse-text.js';
import {ModelProto} from '../../src/onnx/proto.js';
import {openSession} from '../../src/onnx/session.js';
import {archive, bytes, dict, global, int, open, pickle, read, refusal, storage, str, tensor} from '../checkpoint/assembler.js';
import {fakeZip} from '../checkpoint/fake-zip.js';
import {fixture, inFolder} from '../commands/program.js';
import {gpd} from './disturbed.js';

const PLAIN = fixture('cifar_resnet20_plain.pth');

/** The network of a fixture with one tensor changed, as a file. */
async function convertWith(
  change: (key: string, values: Float32Array) => void,
): Promise<{code: number | null; stderr: string; files: string[]}> {
  return inFolder(async (cwd) => {
    const checkpoint = openCheckpoint(fileSource(PLAIN));
    const changed: StateDict = new Map<string, TensorSource>(
      [...checkpoint.stateDict].map(([key, source]) => {
        const t = toFloat32(source.read());
        const values = t.data.slice();
        change(key, values);
        return [key, sourceOf(float32(t.shape, values))];
      }),
    );
    checkpoint.close();
    const fd = openSync(join(cwd, 'net.safetensors'), 'w');
    writeSafetensors(changed, (part) => writeSync(fd, part));
    closeSync(fd);
    const {code, stderr} = await gpd(['convert', 'net.safetensors'], {cwd});
    const {readdirSync} = await import('node:fs');
    return {code, stderr, files: readdirSync(cwd)};
  });
}

test('weights that are not numbers, or become none, are refused: NaN, a negative variance', async () => {
  for (const [name, value] of [
    ['conv1.weight', Number.NaN],
    ['conv1.weight', Number.POSITIVE_INFINITY],
    ['bn1.running_var', -1],
  ] as const) {
    const {code, stderr, files} = await convertWith((key, values) => {
      if (key.endsWith(name)) values[0] = value;
    });
    expect([code, stderr]).toEqual([1, expect.stringMatching(/Code: (WEIGHTS_NOT_FINITE|PROOF_FAILED)/)]);
    expect(files).toEqual(['net.safetensors']);
  }
});

test('denormal weights and a variance of zero are numbers like others', async () => {
  const {code} = await convertWith((key, values) => {
    if (key.endsWith('bn1.running_var')) values[0] = 0;
    if (key.endsWith('conv1.weight')) values[0] = 1e-42;
  });
  expect(code).toBe(0);
});

test('files of more than 4 GB: offsets are whole numbers, and what is missing is missed', () =>
  inFolder(async (cwd) => {
    const path = join(cwd, 'large.pth');
    const fd = openSync(path, 'w');
    writeSync(fd, 'PK\x03\x04');
    ftruncateSync(fd, 5 * 2 ** 30); // a hole: no disk is used
    closeSync(fd);
    expect(refusal(() => openCheckpoint(fileSource(path))).code).toBe('CHECKPOINT_TRUNCATED');
    const source = fileSource(path);
    expect([...source.read(5 * 2 ** 30 - 2, 2)]).toEqual([0, 0]);
    source.close();
  }));

test('a quantised tensor is refused by its name', () => {
  const data = archive({
    'data.pkl': pickle(dict(str('w'), tensor(storage('0', int(1), 'QInt8Storage'), {size: [int(1)], stride: [int(1)]}))),
  });
  expect(refusal(() => open(data)).code).toBe('DTYPE_UNSUPPORTED');
});

test('a key that stands far behind is no reason to count up to it', () => {
  const {stateDict} = openCheckpoint(fileSource(PLAIN));
  const prefix = [...stateDict.keys()].find((key) => key.includes('layer1.0.conv1.weight'))!.replace('0.conv1.weight', '');
  const far = new Map([...stateDict, [`${prefix}4000000000.conv1.weight`, stateDict.values().next().value!]]);
  expect(refusal(() => recognise(far, undefined)).code).toBe('KEY_MISSING');
});

test('a key of a megabyte is not compared letter by letter', () => {
  const {stateDict} = openCheckpoint(fileSource(PLAIN));
  const odd = new Map([...stateDict, ['x'.repeat(1 << 20), stateDict.values().next().value!]]);
  expect(refusal(() => recognise(odd, undefined)).code).toBe('KEY_UNKNOWN');
});

test('a safetensors key twice, with any number of blanks before its colon', () => {
  const entry = '{"dtype":"F32","shape":[1],"data_offsets":[0,4]}';
  const header = `{"a"${' '.repeat(40)}:${entry},"a"${' \n\t'.repeat(20)}:${entry}}`;
  const data = bytes([header.length & 255, header.length >> 8, 0, 0, 0, 0, 0, 0], header, [0, 0, 0, 0]);
  expect(refusal(() => open(data)).message).toMatch(/key 'a' twice/);
});

test('a byte order that is a megabyte long is refused, as by PyTorch', () => {
  const root = pickle(dict(str('w'), tensor(storage('0', int(1)), {size: [int(1)], stride: [int(1)]})));
  const records = {'data.pkl': root, byteorder: bytes('big'.repeat(300_000)), 'data/0': new Uint8Array(4)};
  expect(refusal(() => open(archive(records))).code).toBe('CHECKPOINT_CORRUPT');
});

test('a compressed storage is refused', () => {
  const root = pickle(dict(str('w'), tensor(storage('0', int(1)), {size: [int(1)], stride: [int(1)]})));
  const data = fakeZip([
    {name: 'a/data.pkl', data: root},
    {name: 'a/data/0', data: bytes([3, 0]), method: 8, size: 4, crc: 0},
  ]);
  expect(refusal(() => open(data)).message).toMatch(/is compressed/);
});

test('nothing in the allow-list can be reached under another spelling', () => {
  for (const [module, name] of [
    ['collections ', 'OrderedDict'],
    ['collections', ' OrderedDict'],
    ['collections.OrderedDict', ''],
  ] as const)
    expect(refusal(() => open(archive({'data.pkl': pickle(global(module, name))}))).code).toBe('PICKLE_UNSUPPORTED');
  const stranger = read(pickle(global('Collections', 'OrderedDict'), ')R'));
  expect(describeValue(stranger)).toBe('Collections.OrderedDict (0)'); // a stub of a class that means nothing
});

describe('operators and attributes named like members of every object', () => {
  test.each(['constructor', '__proto__', 'hasOwnProperty', 'toString'])('%s', (name) => {
    const message = {
      irVersion: 8,
      opsetImport: [{version: 17}],
      graph: {
        name: 'g',
        input: [{name: 'x', type: {tensorType: {elemType: 1, shape: {dim: [{dimValue: 2}]}}}}],
        output: [{name: 'y'}],
        node: [
          {opType: name, input: ['x'], output: ['z'], attribute: [{name, type: 2, i: 1}]},
          {opType: 'Relu', input: ['z'], output: ['y'], attribute: [{name, type: 2, i: 1}]},
        ],
      },
    };
    const model = decodeModel(new Uint8Array(ModelProto.encode(message).finish()));
    expect(model.graph.nodes.map(({opType}) => opType)).toEqual([name, 'Relu']);
  });
});

test('a symbolic batch with a fixed Reshape: an error of the engine, with its reason', async () => {
  const model = parseModel(`
    graph g (%x: f32[N, 4]) -> (%y)
      %shape = i64[2] {1, 4}
      %y: f32[N, 4] = Reshape(%x, %shape)`);
  const session = await openSession(modelBytes(model));
  const run = session.run(new Map([['x', float32([2, 4], new Float32Array(8))]]));
  await expect(run).rejects.toMatchObject({code: 'ENGINE_FAILED', hint: expect.any(String)});
  await session.close();
});

describe('images', () => {
  const plain = sharp(new Uint8Array(3), {raw: {width: 1, height: 1, channels: 3}});
  test('of one pixel', async () => {
    expect(await decodeImage(new Uint8Array(await plain.png().toBuffer()))).toMatchObject({width: 1, height: 1});
  });
  test('the content decides, not the extension', async () => {
    const png = new Uint8Array(await plain.png().toBuffer());
    expect((await decodeImage(png)).width).toBe(1); // no name comes into it
    await expect(decodeImage(new TextEncoder().encode('<svg xmlns="http://www.w3.org/2000/svg"/>'))).rejects.toThrow(
      /XML, SVG/,
    );
  });
});

test('a million different labels fit on no stack', () =>
  inFolder(async (cwd) => {
    const path = join(cwd, 'labels.txt');
    const fd = openSync(path, 'w');
    writeSync(fd, Array.from({length: 1_000_000}, (_, i) => i + 1).join('\n'));
    closeSync(fd);
    const file = readLabelFile(path);
    const paths = file.texts.map((_, i) => `${i}.jpg`);
    expect(labelsOf(file, paths, {outputs: 1_000_000}).labels.length).toBe(1_000_000);
  }));

test('a provider that crashes does so in a process of its own', () =>
  inFolder(async (cwd) => {
    await gpd(['convert', PLAIN, '--output', 'net.onnx'], {cwd});
    // only children that were forked have a channel: they end as a crash in native code would end them
    const crash = `data:text/javascript,if (process.send) process.kill(process.pid, 'SIGSEGV')`;
    const {code, stdout, stderr} = await gpd(['bench', 'net.onnx', '--json'], {
      cwd,
      env: {NODE_OPTIONS: `--import="${crash.replaceAll(' ', '%20')}"`},
    });
    expect(code).toBe(1);
    expect(`${stdout}${stderr}`).toMatch(/ended with SIGSEGV/);
  }));
