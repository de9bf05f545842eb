/** Every truncation and every flipped byte of a small file gives a valid result or a GpdError: never another error, a hang, or much memory. */
import {describeTree} from '../../src/checkpoint/describe-tree.js';
import {float, type Writable} from '../../src/checkpoint/write-pickle.js';
import {writeSafetensors} from '../../src/checkpoint/write-safetensors.js';
import {saverLayout, writeTorch, writeTorchLegacy} from '../../src/checkpoint/write-torch.js';
import {GpdError} from '../../src/core/error.js';
import {random} from '../../src/core/random.js';
import {float32, int64, type StateDict, sourceOf, type TensorSource} from '../../src/core/tensor.js';
import {collect, open} from './assembler.js';

const stateDict: StateDict = new Map<string, TensorSource>([
  ['conv.weight', sourceOf(float32([2, 3, 1, 1], [1, 2, 3, 4, 5, 6]))],
  ['bn.num_batches_tracked', sourceOf(int64([], [3]))],
]);
const root = saverLayout({
  epoch: 1,
  arch: 'resnet18',
  stateDict,
  args: new Map<string, Writable>([
    ['lr', 0.5],
    ['steps', [1, {kind: 'tuple', items: [2]}]],
    ['big', 2n ** 65n],
  ]),
  metric: float(1),
});

const files: Record<string, Uint8Array> = {
  'torch-zip': collect((sink) => writeTorch(root, sink)),
  'torch-legacy': collect((sink) => writeTorchLegacy(root, sink)),
  safetensors: collect((sink) => writeSafetensors(stateDict, sink, {format: 'pt'})),
};

/** Opens and uses everything. */
function outcome(data: Uint8Array): 'read' | 'refused' {
  try {
    const checkpoint = open(data);
    describeTree(checkpoint.root);
    JSON.stringify([...(checkpoint.args ?? [])]);
    checkpoint.verifyCrc();
    for (const source of checkpoint.stateDict.values()) source.read();
    return 'read';
  } catch (error) {
    if (!(error instanceof GpdError)) throw error;
    expect(error.hint).toBeTruthy();
    return 'refused';
  }
}

describe.each(Object.entries(files))('%s', (format, file) => {
  test('undamaged', () => {
    expect(outcome(file)).toBe('read');
    expect(open(file).format).toBe(format);
  });

  test('cut anywhere', () => {
    for (let length = 0; length < file.length; length++)
      expect([length, outcome(file.subarray(0, length))]).toEqual([length, 'refused']);
  });

  test('one byte changed anywhere', () => {
    const damaged = file.slice();
    for (let at = 0; at < file.length; at++) {
      for (const mask of [0x01, 0x80, 0xff]) {
        damaged[at] = file[at]! ^ mask;
        outcome(damaged);
      }
      damaged[at] = file[at]!;
    }
  });

  test('many bytes changed', () => {
    const dice = random(`damage ${format}`);
    for (let run = 0; run < 3000; run++) {
      const damaged = file.slice();
      for (let n = dice.integer(8) + 1; n > 0; n--) damaged[dice.integer(file.length)] = dice.integer(256);
      outcome(damaged);
    }
  });

  test('a piece removed or doubled', () => {
    const dice = random(`pieces ${format}`);
    for (let run = 0; run < 1000; run++) {
      const [from, length] = [dice.integer(file.length), dice.integer(64)];
      outcome(Buffer.concat([file.subarray(0, from), file.subarray(from + length)]));
      outcome(Buffer.concat([file.subarray(0, from + length), file.subarray(from)]));
    }
  });
});
