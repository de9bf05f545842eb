/**
 * Small files that ask for much (`fuzz/attacks.ts`): what they describe costs no more than their size explains. Nothing here looks at
 * a clock: a reader that does quadratic work, or makes what it is told to make, does not come to an end within the time of a test.
 */
import {type AttackKind, attacks} from '../../fuzz/attacks.js';
import {readCheckpoint} from '../../fuzz/readers/checkpoint.js';
import {readArchive} from '../../fuzz/readers/tar.js';
import {toJson} from '../../src/checkpoint/describe-tree.js';
import {openCheckpoint} from '../../src/checkpoint/open.js';
import {bufferSource} from '../../src/core/bytes.js';
import {GpdError} from '../../src/core/error.js';
import {MemoryBudget} from '../../src/core/memory-budget.js';
import {checkModel} from '../../src/onnx/check.js';
import {decodeModel} from '../../src/onnx/decode.js';
import {printModel} from '../../src/onnx/text.js';

const read: Record<AttackKind, (bytes: Uint8Array) => void> = {
  checkpoint(bytes) {
    readCheckpoint(bytes);
    const {args, meta} = openCheckpoint(bufferSource(bytes));
    expect(JSON.stringify([...(args ?? []), ...[...meta.values()].map((value) => toJson(value))]).length).toBeLessThan(2e8);
  },
  model(bytes) {
    const model = decodeModel(bytes);
    checkModel(model);
    expect(printModel(model).length).toBeLessThan(100 * bytes.length);
  },
  tar: readArchive,
};

test.each(attacks.map((attack) => [attack.kind, attack.name, attack] as const))('%s: %s', (kind, _, {make, outcome}) => {
  let found = 'read';
  try {
    read[kind](make());
  } catch (error) {
    if (!(error instanceof GpdError)) throw error;
    expect(error.hint).toBeTruthy();
    found = error.code;
  }
  expect(found).toBe(outcome);
});

test('a budget is what the size explains, and no more', () => {
  const budget = new MemoryBudget('a file', 1000);
  budget.spend((24 << 20) + 1000);
  expect(() => budget.spend(1)).toThrow(expect.objectContaining({code: 'LIMIT_EXCEEDED'}));
});
