/** The judge is judged: against the original code, where its numbers lie, and against the numbers that lie beside the fixtures. */
import {erf, runReference} from '../../src/models/reference.js';
import type {Role} from '../../src/reparam/parameters.js';
import {type Case, fixtureCases, GOLDENS, goldenCases} from '../cases.js';
import {expectClose, expectLogits} from '../close.js';
import {describeShared} from '../shared.js';

const roles: readonly Role[] = ['student', 'teacher'];

function expectReference(c: Case, bound: number, because: string): void {
  const {arch, stateDict, form} = c.recognise();
  for (const role of roles)
    expectLogits(runReference(arch, stateDict, form, role, c.images).data, c.logits[role], bound, because, role);
}

describeShared(GOLDENS, 'float64 logits of the original', () => {
  // Reached: 1.04e-14 (ResNet-34, student). Another independent program reached 5e-14 on these and more weights.
  test.each(goldenCases)('%s', (_, open) => expectReference(open(), 5e-14, 'order of float64 sums'));
});

describe('float64 logits beside the fixtures', () => {
  test.each(fixtureCases)('%s', (_, open) => expectReference(open(), 1e-13, 'Math.exp of another version of Node'));
});

test('erf, against tables', () => {
  // Abramowitz and Stegun, table 7.1, and DLMF 7.23
  const known = [
    [0, 0],
    [0.5, 0.5204998778130465],
    [1, 0.8427007929497149],
    [2, 0.9953222650189527],
    [3, 0.9999779095030014],
    [-1.5, -0.9661051464753108],
    [7, 1],
  ] as const;
  const computed = known.map(([x]) => erf(x));
  expectClose(
    computed,
    known.map(([, y]) => y),
    {atol: 4e-16, because: 'two units of the last place of 1'},
  );
});
