/** The proof notices: a rule that is wrong, a weight that is wrong. It names the first layer that differs, and no file appears. */
import {mkdtempSync, readdirSync, rmSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import type * as Algebra from '../../src/reparam/algebra.js';
import {fixtureCase, fixtureNamed} from '../cases.js';
import {changeNumbers, rewritten} from '../rewritten.js';

type Convert = typeof import('../../src/convert/convert.js');

let folder = '';
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'proof-'));
});
afterEach(() => {
  rmSync(folder, {recursive: true, force: true});
  jest.resetModules();
});

/** The converter with another `fuseBatchNorm`: the training form does not use it, the minimal forms do. */
function convertWith(fuseBatchNorm: typeof Algebra.fuseBatchNorm): Convert['convertFile'] {
  jest.resetModules();
  const path = '../../src/reparam/algebra';
  jest.doMock(path, () => ({...jest.requireActual<typeof Algebra>(path), fuseBatchNorm}));
  try {
    return (jest.requireActual('../../src/convert/convert') as Convert).convertFile;
  } finally {
    jest.dontMock(path);
  }
}

const {fuseBatchNorm: right} = jest.requireActual<typeof Algebra>('../../src/reparam/algebra');
type Fuse = typeof Algebra.fuseBatchNorm;
const wrong: Record<string, {fuse: Fuse; first: Readonly<Record<string, string>>}> = {
  'the bias of the convolution is forgotten': {
    fuse: (ops, {weight}, bn, out) => right(ops, {weight}, bn, out),
    first: {'resnet18_r2_orepa_ema.pth.tar': 'layer1.0.bn1', 'rvt_r2_orepa.pth.tar': 'patch_embed.proj.1'},
  },
  'eps is not that of the network': {
    fuse: (ops, kernel, bn, out) => right(ops, kernel, {...bn, eps: 0.1}, out),
    first: {'resnet18_r2_orepa_ema.pth.tar': 'bn1', 'rvt_r2_orepa.pth.tar': 'patch_embed.proj.1'},
  },
  'mean and beta are swapped': {
    fuse: (ops, kernel, bn, out) => right(ops, kernel, {...bn, mean: bn.beta, beta: bn.mean}, out),
    first: {'resnet18_r2_orepa_ema.pth.tar': 'bn1', 'rvt_r2_orepa.pth.tar': 'patch_embed.proj.1'},
  },
};

describe.each(Object.entries(wrong))('%s', (_, {fuse, first}) => {
  test.each(Object.entries(first))('%s', async (file, layer) => {
    const {path, flags} = fixtureCase(fixtureNamed(file), 'weights');
    const convertFile = convertWith(fuse);
    const outputs = {'training-student': join(folder, 't.onnx'), student: join(folder, 's.onnx')};
    const failure = convertFile(path, {...flags, outputs});
    await expect(failure).rejects.toMatchObject({code: 'PROOF_FAILED', at: layer});
    await expect(failure).rejects.toThrow('the first layer that differs is');
    expect(readdirSync(folder)).toEqual([]);
  });
});

test('the right rule passes the same proof', async () => {
  const {path, flags} = fixtureCase(fixtureNamed('rvt_r2_orepa.pth.tar'), 'weights');
  const {outputs} = await convertWith(right)(path, {...flags, outputs: {student: join(folder, 's.onnx')}});
  expect(outputs[0]!.proof!.relative).toBeLessThan(1e-5);
  expect(readdirSync(folder)).toEqual(['s.onnx']);
});

const FIXTURE = 'resnet18_r2_orepa_ema.pth.tar';
/** A checkpoint with its last layer multiplied: so are its logits, and nothing else changes. */
const withLastLayer = (factor: number, layer = 'fc.') =>
  rewritten(FIXTURE, folder, (tensors) => changeNumbers(tensors, layer, (v) => v * factor));

describe('logits of any size', () => {
  const {fuse} = wrong['the bias of the convolution is forgotten']!;
  const [proper, broken] = [convertWith(right), convertWith(fuse)];

  test.each([1e-30, 1e-9, 1, 1e9])('times %d: the right rule is proven, a forgotten bias is not', async (factor) => {
    const {path, flags} = withLastLayer(factor);
    const outputs = {student: join(folder, 's.onnx')};
    const {outputs: written} = await proper(path, {...flags, outputs});
    const {relative, maxAbs} = written[0]!.proof!;
    expect(relative).toBeLessThan(1e-5);
    expect(maxAbs / factor).toBeGreaterThan(relative / 1e3); // not swallowed by a floor
    await expect(broken(path, {...flags, outputs, force: true})).rejects.toMatchObject({code: 'PROOF_FAILED'});
  });

  test('a network that gives the same logits for every image proves nothing', async () => {
    const {path, flags} = withLastLayer(0, 'fc.weight');
    const failure = proper(path, {...flags, outputs: {student: join(folder, 's.onnx')}});
    await expect(failure).rejects.toMatchObject({code: 'PROOF_FAILED', data: {verdict: 'constant'}});
    await expect(failure).rejects.toThrow('nothing is proven: the outputs are the same for every input');
    expect(readdirSync(folder)).toEqual(['rewritten.safetensors']);
  });

  test('logits that overflow prove nothing, and the layer is named', async () => {
    const {path, flags} = withLastLayer(1e38);
    const failure = proper(path, {...flags, outputs: {student: join(folder, 's.onnx')}});
    await expect(failure).rejects.toMatchObject({code: 'PROOF_FAILED', at: 'logits', data: {verdict: 'different'}});
    await expect(failure).rejects.toThrow('logits are NaN or infinite on');
    expect(readdirSync(folder)).toEqual(['rewritten.safetensors']);
  });
});
