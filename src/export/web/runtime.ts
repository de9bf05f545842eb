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

/**
 * The module with its glue inside, and its WebAssembly: CPU with SIMD, all operators. Web servers that do not know `.mjs` (nginx of many
 * distributions, busybox) know `.js`.
 */
const files = {
  runtime: {installed: 'ort.wasm.bundle.min.mjs', name: 'ort.wasm.bundle.min.js'},
  wasm: {installed: 'ort-wasm-simd-threaded.wasm', name: 'ort-wasm-simd-threaded.wasm'},
} as const;
const parts = Object.values(files);

export interface RuntimeFile {
  /** Name beside the page. */
  readonly name: string;
  read(): Uint8Array;
}
/** What a page needs of onnxruntime-web. */
export type WebRuntime = Readonly<Record<keyof typeof files, RuntimeFile>>;

/** Looked for as Node would, from the working folder first. Throws EXPORT_REFUSED where it is not installed. */
export function findRuntime(folders: readonly string[] = [process.cwd(), import.meta.dirname ?? __dirname]): WebRuntime {
  for (const folder of folders) {
    const require = createRequire(pathToFileURL(join(folder, 'noop.js')));
    try {
      const dist = dirname(require.resolve('onnxruntime-web'));
      const found = ({installed, name}: (typeof parts)[number]) => ({name, read: () => contentOf(join(dist, installed))});
      if (parts.every(({installed}) => existsSync(join(dist, installed))))
        return {runtime: found(files.runtime), wasm: found(files.wasm)};
    } catch {
      // Not here: the next folder may have it.
    }
  }
  throw new GpdError('EXPORT_REFUSED', 'the web form needs onnxruntime-web, which is not installed', {
    hint: 'npm install --no-save onnxruntime-web, in the folder from which gpd is called',
  });
}

function contentOf(path: string): Uint8Array {
  const source = fileSource(path);
  try {
    return source.read(0, source.size);
  } finally {
    source.close();
  }
}
