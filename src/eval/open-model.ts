/** A session over a network in memory. A large one goes through a file, so that its weights are not held three times while it loads. */
import {closeSync, openSync, writeSync} from 'node:fs';
import {join} from 'node:path';
import {makeTemporary, removeHidden} from '../core/temporary.js';
import {type ByteStream, encodeModel, modelBytes} from '../onnx/encode.js';
import type {Model} from '../onnx/graph.js';
import {openSession, type Session, type SessionOptions} from '../onnx/session.js';

/** Below, a copy more costs less than the detour. */
const LARGE_BYTES = 64 * 2 ** 20;

function writeStream(path: string, stream: ByteStream): void {
  const fd = openSync(path, 'wx');
  try {
    for (const chunk of stream.chunks()) for (let at = 0; at < chunk.length; ) at += writeSync(fd, chunk, at);
  } finally {
    closeSync(fd);
  }
}

/** The file is needed only until the session is made: what is constant is computed then. */
export async function openModel(model: Model, weightBytes: number, options: SessionOptions): Promise<Session> {
  if (weightBytes < LARGE_BYTES) return openSession(modelBytes(model), options);
  const folder = makeTemporary();
  try {
    const encoded = encodeModel(model, {externalData: 'always', location: 'weights'});
    if (encoded.external) writeStream(join(folder, 'weights'), encoded.external);
    const path = join(folder, 'model.onnx');
    writeStream(path, encoded);
    return await openSession(path, options);
  } finally {
    removeHidden(folder);
  }
}
