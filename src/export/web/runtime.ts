/**
 * onnxruntime-web's files, from where it is installed. It is not a dependency: 130 MB unpacked, of which a page needs two files, 14 MB.
 * Whoever makes a web form installs it once; everyone else never sees it.
 */
import {existsSync} from 'node:fs';
import {createRequire} from 'node:module';
import {dirname, join} from 'node:path';
import {pathToFileURL} from 'node:url';
import {fileSource} from '../../core/bytes.js';
import {GpdError} from '../../core/error.js';

/** The module with its glue inside, and the WebAssembly that it fetches: CPU with SIMD, all operators. */
export const RUNTIME_MODULE = 'ort.wasm.bundle.min.mjs';
export const RUNTIME_WASM = 'ort-wasm-simd-threaded.wasm';
const RUNTIME_FILES = [RUNTIME_MODULE, RUNTIME_WASM] as const;

export interface RuntimeFile {
  readonly name: string;
  read(): Uint8Array;
}

/** Looked for as Node would, from the working folder first. Throws EXPORT_REFUSED where it is not installed. */
export function findRuntime(folders: readonly string[] = [process.cwd(), import.meta.dirname ?? __dirname]): RuntimeFile[] {
  for (const folder of folders) {
    const require = createRequire(pathToFileURL(join(folder, 'noop.js')));
    try {
      const dist = dirname(require.resolve('onnxruntime-web'));
      if (RUNTIME_FILES.every((name) => existsSync(join(dist, name))))
        return RUNTIME_FILES.map((name) => runtimeFile(join(dist, name), name));
    } catch {
      // Not here: the next folder may have it.
    }
  }
  throw new GpdError('EXPORT_REFUSED', 'the web form needs onnxruntime-web, which is not installed', {
    hint: 'npm install --no-save onnxruntime-web, in the folder from which gpd is called',
  });
}

const runtimeFile = (path: string, name: string): RuntimeFile => ({
  name,
  read() {
    const source = fileSource(path);
    try {
      return source.read(0, source.size);
    } finally {
      source.close();
    }
  },
});
