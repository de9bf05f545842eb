/** Parts of a name that say how a module was run, not what it is: DataParallel, torch.compile, FSDP, activation checkpoints, Opacus. */
import type {StateDict, TensorSource} from '../../core/tensor.js';

/** A whole part: `module`, `_module`, `_orig_mod`, `_fsdp_wrapped_module`, `_checkpoint_wrapped_module`, `_forward_module`, … */
const TRANSPARENT = /^(module|_(\w*_)?mod(ule)?)$/;

/** `module.layer1._orig_mod.0.weight` → `layer1.0.weight`. The last part is a tensor's own name and stays. */
export function withoutTransparent(key: string): string {
  if (!key.includes('mod')) return key;
  const parts = key.split('.');
  return parts.filter((part, i) => i === parts.length - 1 || !TRANSPARENT.test(part)).join('.');
}

/** A tensor with its names: in the file, and without transparent parts. */
export interface NamedTensor {
  readonly key: string;
  readonly name: string;
  readonly source: TensorSource;
}

export interface PlainNames {
  /** The key in the file by the name without such parts, in the file's order. */
  readonly keys: ReadonlyMap<string, string>;
  /** Which parts were dropped. */
  readonly dropped: readonly string[];
}

/** Two tensors that would get one name (a copy beside `module.*`) keep theirs, and so does all of the file. */
export function plainNames(stateDict: StateDict): PlainNames {
  const keys = new Map<string, string>();
  const dropped = new Set<string>();
  for (const key of stateDict.keys()) {
    const name = withoutTransparent(key);
    if (keys.has(name)) return {keys: new Map([...stateDict.keys()].map((own) => [own, own])), dropped: []};
    keys.set(name, key);
    if (name !== key) for (const part of key.split('.').slice(0, -1)) if (TRANSPARENT.test(part)) dropped.add(part);
  }
  return {keys, dropped: [...dropped]};
}
