/**
 * Tensors in files beside the model. A model from the internet says which file and which bytes: nothing outside the model's own
 * folder is opened, and nothing is believed about the file.
 * The rules are those of onnx 1.23 (external_data_helper.py, checker.cc), after CVE-2022-25882, CVE-2024-27318, CVE-2024-27319
 * and CVE-2026-27489. Format: https://onnx.ai/onnx/repo-docs/ExternalData.html
 */
import type {ByteSource} from '../core/bytes.js';
import {containedFileSource} from '../core/contained-file.js';
import type {TensorMessage} from './proto.js';
import type {ByteRange} from './wire.js';

/** Opens a file that a model names. */
export type OpenExternal = (location: string) => ByteSource;

/** Opens files in a folder, each once; `close` closes them all. Bytes of those that are open: `size`, and without their holes `stored`. */
export function externalFilesIn(folder: string): {open: OpenExternal; size(): number; stored(): number; close(): void} {
  const opened = new Map<string, ByteSource>();
  const open: OpenExternal = (location) => {
    const source = opened.get(location) ?? containedFileSource(folder, location);
    opened.set(location, source);
    return source;
  };
  const close = () => {
    for (const source of opened.values()) source.close();
    opened.clear();
  };
  const sum = (of: (source: ByteSource) => number) => [...opened.values()].reduce((n, source) => n + of(source), 0);
  const size = () => sum((source) => source.size);
  const stored = () => sum((source) => source.stored ?? source.size);
  return {open, size, stored, close};
}

/** `checksum` (SHA-1 of the whole file) is known and not checked: it proves nothing about a file that comes with the model. */
const knownKeys = new Set(['location', 'offset', 'length', 'checksum']);

type Fail = (problem: string) => never;

export function externalRange(
  message: TensorMessage,
  needed: number,
  open: OpenExternal | undefined,
  fail: Fail,
): {file: ByteSource; range: ByteRange} {
  const entries = new Map<string, string>();
  for (const {key, value} of message.externalData ?? []) {
    if (!knownKeys.has(key ?? '')) fail(`has the unknown external data key '${key}'`);
    if (entries.has(key!)) fail(`has the external data key '${key}' twice`);
    entries.set(key!, value ?? '');
  }
  const location = entries.get('location') ?? fail('is in another file, but does not say in which');
  if (!open) fail(`is in another file, '${location}', which was not given`);
  const offset = wholeNumber('offset', entries.get('offset') ?? '0', fail);
  const length = wholeNumber('length', entries.get('length') ?? String(needed), fail);
  const file = open!(location);
  if (offset + length > file.size) fail(`is at bytes ${offset} to ${offset + length} of '${location}', which has ${file.size}`);
  return {file, range: {offset, length}};
}

/** Up to 15 digits: below 2⁵³. */
const wholeNumber = (key: string, text: string, fail: Fail): number =>
  /^\d{1,15}$/.test(text) ? Number(text) : fail(`has the external data ${key} '${text}'`);
