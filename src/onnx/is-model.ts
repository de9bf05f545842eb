/** Is a file an ONNX model? Told by its first bytes, and only then by its name. */
import type {ByteSource} from '../core/bytes.js';

/** A model nearly always begins with its first field, the IR version: key 0x08, a small number. Checkpoints never begin so. */
export function isModel(source: ByteSource): boolean {
  const [first, second] = source.read(0, Math.min(2, source.size));
  if (first === 0x08 && second! < 0x20) return true;
  const isCheckpoint = (first === 0x50 && second === 0x4b) || first === 0x80; // zip, pickle
  return source.name.endsWith('.onnx') && source.size > 0 && !isCheckpoint;
}
