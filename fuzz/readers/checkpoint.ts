/** What all fuzzers of checkpoints do with one: everything that inspection and conversion would. */
import {describeTree, toJson} from '../../src/checkpoint/describe-tree.js';
import {openCheckpoint} from '../../src/checkpoint/open.js';
import {bufferSource} from '../../src/core/bytes.js';
import {GpdError} from '../../src/core/error.js';
import {SHARED_BYTES} from '../../src/core/memory-budget.js';
import {recognise} from '../../src/models/recognise.js';

export function readCheckpoint(bytes: Uint8Array): string {
  for (const choice of [{ema: true}, {key: 'net'}, {key: 'checkpoint.model_ema'}] as const) choose(bytes, choice);
  const checkpoint = openCheckpoint(bufferSource(bytes, 'fuzz'));
  describeTree(checkpoint.root);
  for (const value of checkpoint.meta.values()) toJson(value);
  checkpoint.verifyCrc();
  for (const source of checkpoint.stateDict.values()) source.read(source.shape.map((d) => Math.ceil(d / 2)));
  const made = [...checkpoint.stateDict.values()].reduce((n, source) => n + source.read().data.byteLength, 0);
  if (made > bytes.length + SHARED_BYTES) throw new Error(`tensors of ${made} bytes from ${bytes.length}`);
  const few = (n: number) => Math.min(n, 5);
  return `${few(checkpoint.stateDict.size)} tensors, ${few(checkpoint.ignored.length)} ignored, ${recognised(checkpoint)}`;
}

/** Another state dict than the usual one: read, or refused as everything is. */
function choose(bytes: Uint8Array, choice: {ema: true} | {key: string}): void {
  try {
    const looked = openCheckpoint(bufferSource(bytes, 'fuzz'), {...choice, withoutStateDict: 'keep'});
    describeTree(looked.root);
  } catch (error) {
    if (!(error instanceof GpdError)) throw error;
  }
}

function recognised({stateDict, args}: ReturnType<typeof openCheckpoint>): string {
  try {
    return recognise(stateDict, args).arch.name;
  } catch (error) {
    if (error instanceof GpdError) return error.code;
    throw error;
  }
}
