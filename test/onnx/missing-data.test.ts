/** A model whose file of weights is missing: told by the model that asks for it, not by a name that nobody typed. */
import {writeFileSync} from 'node:fs';
import {join} from 'node:path';
import {subjectOfFile} from '../../src/eval/subject.js';
import {concatenate, encodeModel} from '../../src/onnx/encode.js';
import {inFolder} from '../commands/program.js';
import {tinyNetwork} from '../eval/networks.js';

test('the message names the model, the file, and that both belong together; with the file the model is as large as both', () =>
  inFolder(async (folder) => {
    const path = join(folder, 'net.onnx');
    const encoded = encodeModel(tinyNetwork({classes: 400}), {externalData: 'always', location: 'net.onnx.data'});
    writeFileSync(path, concatenate(encoded));
    expect(() => subjectOfFile(path)).toThrow(
      expect.objectContaining({
        code: 'FILE_UNREADABLE',
        at: path,
        message: `${path}: its weights are in 'net.onnx.data', which does not lie beside it`,
        hint: expect.stringContaining('belong together'),
      }),
    );
    writeFileSync(join(folder, 'net.onnx.data'), concatenate(encoded.external!));
    expect(subjectOfFile(path).size.fileBytes).toBe(encoded.byteLength + encoded.external!.byteLength);
  }));
