/** The student as weights for PyTorch: what the original deploys, tensor by tensor, and a network that computes the same. */
import {readFileSync} from 'node:fs';
import {openCheckpoint} from '../../src/checkpoint/open.js';
import {deployedWeights} from '../../src/convert/deployed-weights.js';
import {fileSource} from '../../src/core/bytes.js';
import type {StateDict} from '../../src/core/tensor.js';
import {recognise} from '../../src/models/recognise.js';
import {runReference} from '../../src/models/reference.js';
import {fixtureCases, GOLDENS, goldenCases} from '../cases.js';
import {expectClose, expectLogits} from '../close.js';
import {describeShared, shared} from '../shared.js';

function goldenWeights(title: string): StateDict {
  const [name, variant] = title.split(', ') as [string, string];
  const {deployed} = JSON.parse(readFileSync(shared(GOLDENS, name, 'case.json'), 'utf8'));
  const file = variant === 'ema' ? 'deployed_ema.safetensors' : (deployed ?? 'deployed.safetensors');
  return openCheckpoint(fileSource(shared(GOLDENS, name, file))).stateDict;
}

describeShared(GOLDENS, 'deployed weights of the original', () => {
  test.each(goldenCases)('%s', async (title, open) => {
    const own = await deployedWeights(open().recognise());
    const expected = goldenWeights(title);
    expect([...own.keys()]).toEqual([...expected.keys()]);
    for (const [key, source] of expected) {
      const [got, want] = [own.get(key)!.read(), source.read()];
      expect([key, got.shape]).toEqual([key, want.shape]);
      const numbers = ({data}: {data: unknown}) => Float64Array.from(data as ArrayLike<number>, Number);
      expectClose(numbers(got), numbers(want), {rtol: 1e-6, because: 'the original merges in float32'}, key);
    }
  });
});

describe('the deployed network computes what the student computes', () => {
  test.each(fixtureCases)('%s', async (_, open) => {
    const c = open();
    const weights = await deployedWeights(c.recognise());
    const plain = recognise(weights, undefined, {...c.flags, ratio: undefined});
    expect([plain.kind === 'gpd', plain.form.orepa.size]).toEqual([false, 0]);
    const logits = runReference(plain.arch, weights, plain.form, 'student', c.images);
    expectLogits(logits.data, c.logits.student, 1e-5, 'each weight is rounded to float32 once');
  });
});
