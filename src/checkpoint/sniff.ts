/** What a file is, from its first bytes: never from its name. Whatever is not a checkpoint is named, with what to do. */
import type {ByteSource} from '../core/bytes.js';
import {GpdError} from '../core/error.js';
import {decodeUtf8} from './utf8.js';

export type CheckpointFormat = 'torch-zip' | 'torch-legacy' | 'safetensors';

const HEAD = 512; // the magic of a tar archive lies at 257

const startsWith = (head: Uint8Array, bytes: readonly number[], at = 0): boolean => bytes.every((b, i) => head[at + i] === b);
const ascii = (text: string): number[] => [...text].map((c) => c.charCodeAt(0));
const containsAscii = (head: Uint8Array, text: string, before: number): boolean => {
  const wanted = ascii(text);
  return head.subarray(0, before).some((_, i) => startsWith(head, wanted, i));
};

/** The ten bytes of the legacy magic number, after PROTO and LONG1 (and FRAME in protocol 4). */
const LEGACY = [0x8a, 0x0a, 0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19];

const formats: readonly [format: CheckpointFormat, matches: (head: Uint8Array) => boolean][] = [
  ['torch-zip', (h) => startsWith(h, ascii('PK\x03\x04')) || startsWith(h, ascii('PK\x05\x06'))],
  ['torch-legacy', (h) => h[0] === 0x80 && (startsWith(h, LEGACY, 2) || startsWith(h, LEGACY, 11))],
  ['safetensors', (h) => h[8] === 0x7b && startsWith(h, [0, 0, 0], 5)], // a length below 2^40, then '{'; the reader checks the rest
];

type Other = readonly [what: string, matches: (head: Uint8Array) => boolean, hint: string];
const WRONG_FILE = 'give a .pth, .pth.tar, .pt, .th or .safetensors file; check the path';
const magic = (what: string, text: string, hint = WRONG_FILE, at = 0): Other => [
  what,
  (h) => startsWith(h, ascii(text), at),
  hint,
];

/** Neither input nor output stands in such a file in words that are read here. */
const ORT_FORMAT = 'give the .onnx file that it was made of; gpd export --format onnx writes one beside it';

/** First match wins. */
const others: readonly Other[] = [
  ['empty', (h) => h.length === 0, 'download or copy it again'],
  magic('a PNG image', '\x89PNG'),
  magic('a JPEG image', '\xff\xd8\xff'),
  magic('a GIF image', 'GIF8'),
  magic('a PDF document', '%PDF'),
  magic('an HDF5 file (Keras, TensorFlow)', '\x89HDF', 'only PyTorch checkpoints and safetensors are read'),
  magic('a numpy array', '\x93NUMPY', 'save the state dict with torch.save or as safetensors'),
  magic('a model in onnxruntime’s own format', 'ORTM', ORT_FORMAT, 4),
  magic('a GGUF model', 'GGUF', 'language models are not read here'),
  magic('a TensorFlow Lite model', 'TFL3', 'only PyTorch checkpoints and safetensors are read', 4),
  magic('gzip-compressed', '\x1f\x8b', 'unpack it with gunzip first'),
  magic('bzip2-compressed', 'BZh', 'unpack it with bunzip2 first'),
  magic('xz-compressed', '\xfd7zXZ', 'unpack it with unxz first'),
  magic('zstd-compressed', '\x28\xb5\x2f\xfd', 'unpack it with unzstd first'),
  magic('a 7-Zip archive', '7z\xbc\xaf', 'unpack it first'),
  [
    'a PyTorch checkpoint in the old tar container (before 0.1.10), which is refused: its readers were attacked through it (CVE-2025-32434)',
    (h) =>
      startsWith(h, ascii('ustar'), 257) &&
      ['sys_info', 'pickle', 'storages', 'tensors'].some((name) => startsWith(h, ascii(`${name}\0`))),
    'load it with PyTorch in a safe place and save its state dict again',
  ],
  magic('a tar archive (despite its name a .pth.tar is none)', 'ustar', 'unpack it and give the checkpoint inside', 257),
  magic('a Git LFS pointer, not the file itself', 'version https://git-lfs', 'fetch the file with git lfs pull'),
  [
    'a bare pickle, not what torch.save writes; it was not executed',
    (h) => h[0] === 0x80 && h[1]! >= 2 && h[1]! <= 5,
    'save the state dict with torch.save(model.state_dict(), path)',
  ],
  [
    'an ONNX model',
    (h) => h[0] === 0x08 && h[1]! < 0x20 && (h[2] === 0x12 || h[2] === 0x3a || h[2] === 0x42),
    'it is already converted: gpd inspect and gpd eval take it',
  ],
  [
    'a web page, not a checkpoint: the download failed or needs a login',
    (h) => containsAscii(h, '<html', HEAD) || containsAscii(h, '<!DOCTYPE', 64) || containsAscii(h, '<!doctype', 64),
    'open the link in a browser and save the real file',
  ],
  ['a text file', isText, WRONG_FILE],
];

function isText(head: Uint8Array): boolean {
  for (let cut = 0; cut < 4; cut++) {
    const text = decodeUtf8(head.subarray(0, head.length - cut)); // the last character may be cut off
    // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what tells binary from text
    if (text !== undefined) return !/[\0-\x08\x0e-\x1f]/.test(text);
  }
  return false;
}

export function sniff(source: ByteSource): CheckpointFormat {
  const head = source.read(0, Math.min(HEAD, source.size));
  const found = formats.find(([, matches]) => matches(head));
  if (found) return found[0];
  const other = others.find(([, matches]) => matches(head));
  throw new GpdError('FORMAT_UNKNOWN', `${source.name}: is ${other?.[0] ?? 'not a PyTorch checkpoint or safetensors file'}`, {
    at: `${source.name}@0`,
    hint: other?.[2] ?? WRONG_FILE,
    data: {size: source.size, firstBytes: Buffer.from(head.subarray(0, 16)).toString('hex')},
  });
}
