/** What the classes of CIFAR are called: a file beside the batches says it, in each form another one. */
import {readBatchPickle} from './batch-pickle.js';
import {type Entry, fileOf, readBeside} from './entries.js';

/** batches.meta of the original archive. */
const TEN_CLASSES = ['airplane', 'automobile', 'bird', 'cat', 'deer', 'dog', 'frog', 'horse', 'ship', 'truck'];
const MAX_BYTES = 1 << 20;

/** In label order, of each kind of label that has names; those of CIFAR-10 are known. Files that do not name classes are passed over. */
export async function cifarNames(
  set: {readonly name: string; readonly form: string},
  beside: readonly Entry[],
): Promise<ReadonlyMap<string, readonly string[]>> {
  const names = new Map<string, readonly string[]>(set.form === 'CIFAR-10' ? [['labels', TEN_CLASSES]] : []);
  for (const entry of beside) {
    const {path} = entry;
    const bytes = await readBeside(set.name, entry);
    if (bytes.length > MAX_BYTES) continue;
    for (const [kind, own] of bytes[0] === 0x80 ? pickledNames(path, bytes) : textNames(path, bytes)) {
      const areNames = own.length > 0 && new Set(own).size === own.length;
      if (areNames) names.set(kind, own);
    }
  }
  return names;
}

function textNames(path: string, bytes: Uint8Array): [string, string[]][] {
  const lines = new TextDecoder()
    .decode(bytes)
    .split(/\r?\n/)
    .map((line) => line.trim());
  const kind = /^(fine|coarse)_label_names/.exec(fileOf(path))?.[1];
  return [[kind ? `${kind}_labels` : 'labels', lines.filter((line) => line !== '')]];
}

function pickledNames(path: string, bytes: Uint8Array): [string, string[]][] {
  return [...readBatchPickle(path, bytes)].flatMap(([key, value]) => {
    const kind = /^((fine|coarse)_)?label_names$/.exec(key);
    const areTexts = Array.isArray(value) && value.every((name) => typeof name === 'string');
    return kind && areTexts ? [[`${kind[1] ?? ''}labels`, value as string[]] as [string, string[]]] : [];
  });
}
