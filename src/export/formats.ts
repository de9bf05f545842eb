/** THE table of formats: what a form is written as. Models run; weights are for PyTorch. */
import {basename, join} from 'node:path';
import {writeSafetensors} from '../checkpoint/write-safetensors.js';
import {orderedStateDict, writeTorch} from '../checkpoint/write-torch.js';
import {fileSource} from '../core/bytes.js';
import type {StagedFile, Staging} from '../core/output.js';
import type {StateDict} from '../core/tensor.js';
import {type EncodeOptions, encodeModel, modelBytes} from '../onnx/encode.js';
import type {Model} from '../onnx/graph.js';
import {openSession} from '../onnx/session.js';
import type {TargetName} from './targets.js';
import {type PageFacts, renderWebPage} from './web/page.js';
import {findRuntime} from './web/runtime.js';

export interface WriteOptions {
  readonly externalData?: EncodeOptions['externalData'];
  /** For the page of the web form. */
  readonly page: Pick<PageFacts, 'name' | 'precision' | 'labels' | 'topK'>;
}
export interface Written {
  /** Of all files. */
  readonly bytes: number;
  readonly files: readonly string[];
  /** Of the model or the weights, until it is committed. */
  readonly main: StagedFile;
}

/** The model of a format that shows its own answers: images are prepared inside, and it gives probabilities of the best classes. */
export interface OwnModel {
  /** Unless another target is asked for. */
  readonly target: TargetName;
  readonly batch: 'dynamic';
}

export interface ModelFormat {
  readonly kind: 'model';
  /** Follows the name and the precision: `student.fp16.onnx`. */
  readonly suffix: string;
  readonly description: string;
  /** A folder of files, not a file. */
  readonly isFolder: boolean;
  /** What it asks of its model, whatever the user asks for; else the same model serves several formats. */
  readonly own: OwnModel | undefined;
  write(model: Model, path: string, staging: Staging, options: WriteOptions): Promise<Written>;
}
export interface WeightsFormat {
  readonly kind: 'weights';
  readonly suffix: string;
  readonly description: string;
  write(weights: StateDict, path: string, staging: Staging): Written;
}

function stage(path: string, chunks: Iterable<Uint8Array>, staging: Staging): StagedFile & {bytes: number} {
  const file = staging.create(path);
  let bytes = 0;
  for (const chunk of chunks) {
    file.write(chunk);
    bytes += chunk.length;
  }
  file.finish();
  return {...file, bytes};
}
const sum = (files: readonly {bytes: number}[]): number => files.reduce((n, {bytes}) => n + bytes, 0);

async function writeOnnx(
  model: Model,
  path: string,
  staging: Staging,
  {externalData = 'auto'}: WriteOptions,
): Promise<Written> {
  const encoded = encodeModel(model, {externalData, location: `${basename(path)}.data`});
  // The numbers first: the model never lies there without them. Tensors below a kilobyte stay in the model: there may be no others.
  const external =
    encoded.external && encoded.external.byteLength > 0 ? [stage(`${path}.data`, encoded.external.chunks(), staging)] : [];
  const main = stage(path, encoded.chunks(), staging);
  return {main, bytes: sum([main, ...external]), files: [main, ...external].map((file) => file.path)};
}

/** 'extended' is the most that runs on other machines too: beyond it the layout of kernels is that of this processor. */
async function writeOrt(model: Model, path: string, staging: Staging): Promise<Written> {
  const main = staging.create(path);
  const session = await openSession(modelBytes(model), {
    file: model.file,
    optimize: 'extended',
    optimizedModelPath: main.temporaryPath,
    optimizedModelFormat: 'ort',
  });
  await session.close();
  const written = fileSource(main.temporaryPath);
  written.close();
  return {main, bytes: written.size, files: [path]};
}

async function writeWeb(model: Model, path: string, staging: Staging, {page}: WriteOptions): Promise<Written> {
  const put = (name: string, bytes: Uint8Array) => ({name, ...stage(join(path, name), [bytes], staging)});
  const {runtime, wasm} = findRuntime();
  const [module, binary] = [put(runtime.name, runtime.read()), put(wasm.name, wasm.read())];
  const main = put('model.onnx', modelBytes(model));
  const beside = ({name, bytes}: typeof main) => ({name, bytes});
  const facts = {...page, runtime: beside(module), wasm: beside(binary), model: beside(main)};
  const html = put('index.html', new TextEncoder().encode(renderWebPage(facts)));
  const all = [module, binary, main, html];
  return {main, bytes: sum(all), files: all.map((file) => file.path)};
}

function weightsWriter(write: (weights: StateDict, sink: (bytes: Uint8Array) => void) => void): WeightsFormat['write'] {
  return (weights, path, staging) => {
    const main = staging.create(path);
    let bytes = 0;
    write(weights, (chunk) => {
      bytes += chunk.length;
      main.write(chunk);
    });
    main.finish();
    return {main, bytes, files: [path]};
  };
}

export const formats = {
  onnx: {kind: 'model', suffix: '.onnx', description: 'ONNX', isFolder: false, own: undefined, write: writeOnnx},
  ort: {
    kind: 'model',
    suffix: '.ort',
    description: 'onnxruntime’s own format, optimised',
    isFolder: false,
    own: undefined,
    write: writeOrt,
  },
  web: {
    kind: 'model',
    suffix: '.web',
    description: 'a folder with a page that runs in a browser',
    isFolder: true,
    own: {target: 'ort-web', batch: 'dynamic'},
    write: writeWeb,
  },
  safetensors: {
    kind: 'weights',
    suffix: '.safetensors',
    description: 'weights for PyTorch, safetensors',
    write: weightsWriter((weights, sink) => writeSafetensors(weights, sink, {format: 'pt'})),
  },
  pth: {
    kind: 'weights',
    suffix: '.pth',
    description: 'weights for PyTorch, a state dict',
    write: weightsWriter((weights, sink) => writeTorch(orderedStateDict(weights), sink)),
  },
} as const satisfies Record<string, ModelFormat | WeightsFormat>;
export type FormatName = keyof typeof formats;
/** What the format asks of its model; undefined for weights too. */
export function ownModelOf(name: FormatName): OwnModel | undefined {
  const format: ModelFormat | WeightsFormat = formats[name];
  return format.kind === 'model' ? format.own : undefined;
}
export const formatNames = Object.keys(formats) as FormatName[];
