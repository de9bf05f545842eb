/**
 * onnxruntime-node passes values as members of plain objects. A value that is called as something that every object has from birth, such
 * as `__proto__` or `toString`, cannot be passed so: such a model runs under other names.
 */
import {dirname} from 'node:path';
import {bufferSource, fileSource} from '../core/bytes.js';
import {decodeModel} from './decode.js';
import {modelBytes} from './encode.js';
import {externalFilesIn} from './external-data.js';

export interface PlainModel {
  readonly bytes: Uint8Array;
  /** Name in the file → name in `bytes`, for those that differ. */
  readonly aliases: ReadonlyMap<string, string>;
}

/** The same model, of a file or its bytes, without such names among its inputs and outputs. */
export function withPlainNames(model: Uint8Array | string): PlainModel {
  const isPath = typeof model === 'string';
  const source = isPath ? fileSource(model) : bufferSource(model);
  try {
    const decoded = decodeModel(source, isPath ? {openExternal: externalFilesIn(dirname(model)).open} : {});
    const {graph} = decoded;
    const aliases = new Map<string, string>();
    for (const value of new Set([...graph.inputs, ...graph.outputs])) {
      const {name} = value;
      if (!(name in {})) continue;
      aliases.set(name, graph.uniqueName(`${name}.value`));
      graph.rename(value, aliases.get(name)!);
    }
    return {bytes: modelBytes(decoded), aliases};
  } finally {
    source.close();
  }
}
