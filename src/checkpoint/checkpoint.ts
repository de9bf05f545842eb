/** What an open checkpoint is to the rest of the toolkit. */
import type {GpdError} from '../core/error.js';
import type {StateDict, TensorSource} from '../core/tensor.js';
import type {IgnoredEntry} from './ignored-entries.js';
import type {PlainData, PlainScalar, TensorRef} from './plain-data.js';
import type {CheckpointFormat} from './sniff.js';
import type {AvailableStateDict} from './state-dicts.js';
import type {Checksum} from './torch.js';

export interface CrcReport {
  /** Storages whose bytes were compared with their checksum, and how many bytes that were. */
  readonly checked: number;
  readonly bytes: number;
  /** Tensors over storages that do not match. */
  readonly mismatches: readonly string[];
  /** Storages without a usable checksum: legacy and safetensors files have none, newer PyTorch can be told not to write them. */
  readonly notRecorded: number;
}

/** Objects of one class that mean nothing here. */
export interface InertObjects {
  readonly type: string;
  readonly count: number;
}

/** An open checkpoint: its tensors are read from the file when they are asked for, until it is closed. */
export interface Checkpoint {
  readonly name: string;
  readonly format: CheckpointFormat;
  /** Keys without `prefix`, in the file's order. */
  readonly stateDict: StateDict;
  /** Which entry it is, such as `state_dict` or `checkpoint.model`; null where the file is the state dict. */
  readonly stateDictKey: string | null;
  /** Its weights were averaged during training. */
  readonly averaged: boolean;
  readonly available: readonly AvailableStateDict[];
  /** What was taken off every key: 'module.' or ''. */
  readonly prefix: string;
  /** The training options, as JSON values. */
  readonly args: ReadonlyMap<string, unknown> | undefined;
  /** Plain top-level values: epoch, arch, metric, version …; for safetensors its metadata. */
  readonly meta: ReadonlyMap<string, PlainScalar>;
  /** Every entry that was not used, with the reason. */
  readonly ignored: readonly IgnoredEntry[];
  /** Objects of the program that saved it, which were read as plain data without a meaning, by class. */
  readonly inert: readonly InertObjects[];
  readonly warnings: readonly string[];
  /** Why there is no state dict, in a file that is looked at all the same. */
  readonly problem: GpdError | undefined;
  /** The whole object tree, for inspection. */
  readonly root: PlainData;
  /** A tensor from anywhere in it, by its reference; `name` is for messages. */
  tensor(ref: TensorRef, name: string): TensorSource;
  /** Compares the bytes behind these tensors (default: the whole state dict) with their CRC-32. Reads them in full. */
  verifyCrc(keys?: Iterable<string>): CrcReport;
  /** The checksums of the storages behind the state dict, each with the tensors that lie in it: for whoever reads the file anyway. */
  checksums(): StorageChecksum[];
  close(): void;
}
export interface StorageChecksum extends Checksum {
  readonly keys: readonly string[];
}
