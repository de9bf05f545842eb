/**
 * Checkpoints that PyTorch loads. Tensors are read one at a time as they are written, so memory holds the largest of them, not all.
 * Layout of the zip form: torch/serialization.py, `_save`; of the legacy form: `_legacy_save`.
 */
import {bytesOf, elementCount, type StateDict} from '../core/tensor.js';
import {ByteWriter, type Sink} from './byte-writer.js';
import {OrderedDict, type PlainData} from './plain-data.js';
import {LEGACY_MAGIC, LEGACY_PROTOCOL} from './torch-legacy.js';
import {encodePickle, type Writable} from './write-pickle.js';
import {createZipWriter} from './write-zip.js';

export interface WriteTorchOptions {
  /** The root folder inside the archive. PyTorch takes any. */
  folder?: string;
  /** For tests: see `createZipWriter`. */
  zip64From?: number;
}

/** Writes a file as `torch.save` does since PyTorch 1.6: a zip archive. */
export function writeTorch(root: Writable, sink: Sink, {folder = 'archive', zip64From}: WriteTorchOptions = {}): void {
  const {bytes, storages} = encodePickle(root);
  const zip = createZipWriter(sink, zip64From);
  const text = new TextEncoder();
  zip.add(`${folder}/data.pkl`, bytes);
  zip.add(`${folder}/byteorder`, text.encode('little'));
  for (const {key, tensor} of storages) zip.add(`${folder}/data/${key}`, bytesOf(tensor.read()));
  zip.add(`${folder}/version`, text.encode('3\n'));
  zip.finish();
}

/** The container before PyTorch 1.6, which old tools still ask for. */
export function writeTorchLegacy(root: Writable, sink: Sink): void {
  const system = new Map<string, Writable>([
    ['protocol_version', LEGACY_PROTOCOL],
    ['little_endian', true],
    ['type_sizes', new Map(Object.entries({short: 2, int: 4, long: 4}))],
  ]);
  const {bytes, storages} = encodePickle(root, {legacy: true});
  for (const header of [LEGACY_MAGIC, LEGACY_PROTOCOL, system]) sink(encodePickle(header).bytes);
  sink(bytes);
  sink(encodePickle(storages.map(({key}) => key)).bytes);
  for (const {tensor} of storages) {
    sink(new ByteWriter().u64(elementCount(tensor.shape)).take());
    sink(bytesOf(tensor.read()));
  }
}

/** A state dict as PyTorch has it. */
export function orderedStateDict(stateDict: StateDict): ReadonlyMap<Writable, Writable> {
  // OrderedDict is typed for what is read; what is written may hold tensors that are not in a file yet
  return new OrderedDict(stateDict as ReadonlyMap<string, unknown> as Map<string, PlainData>) as ReadonlyMap<
    PlainData,
    unknown
  > as ReadonlyMap<Writable, Writable>;
}

/** What the original saver writes (timm's CheckpointSaver with the options of the run). Absent entries are left out. */
export interface SaverContents {
  epoch: number;
  /** The value of `--model`. */
  arch: string;
  stateDict: StateDict;
  optimizer?: Writable;
  args?: ReadonlyMap<string, Writable>;
  ampScaler?: Writable;
  stateDictEma?: StateDict;
  metric?: Writable;
  /** Entries of our own, after the others: the original's loader takes what it knows by name. */
  more?: ReadonlyMap<string, Writable>;
}

const SAVER_VERSION = 2; // timm/utils/checkpoint_saver.py

/** The keys in the order of the original: readers exist that show them in this order. */
export function saverLayout(contents: SaverContents): ReadonlyMap<string, Writable> {
  const {epoch, arch, stateDict, optimizer, args, ampScaler, stateDictEma, metric, more = []} = contents;
  const entries: [string, Writable | undefined][] = [
    ['epoch', epoch],
    ['arch', arch],
    ['state_dict', orderedStateDict(stateDict)],
    ['optimizer', optimizer],
    ['version', SAVER_VERSION],
    ['args', args && {kind: 'namespace', fields: args}],
    ['amp_scaler', ampScaler],
    ['state_dict_ema', stateDictEma && orderedStateDict(stateDictEma)],
    ['metric', metric],
    ...more,
  ];
  return new Map(entries.filter((entry): entry is [string, Writable] => entry[1] !== undefined));
}
