/** `gpd bench` as a function: files in, one plain result out. */

import {fileSource} from '../core/bytes.js';
import {GpdError} from '../core/error.js';
import {type BenchOptions, type BenchResult, bench} from '../eval/bench.js';
import {distinguish, subjectOfFile} from '../eval/subject.js';
import {isModel} from '../onnx/is-model.js';
import {chooseProvider, type ProviderName} from '../onnx/providers.js';

/** What `bench` measures with; see `gpd bench --help`. */
export interface BenchFilesOptions extends Pick<BenchOptions, 'rounds' | 'roundMs' | 'memoryLimit' | 'signal' | 'onProgress'> {
  /** Default `cpu`. */
  provider?: ProviderName | 'auto' | undefined;
  /** Which device, for cuda and dml. */
  device?: number | undefined;
  /** Each is measured. Default: the runtime's choice, one a physical core. */
  threads?: readonly number[] | undefined;
  /** Pixels a side, for models that take any size. Default 224. */
  imageSize?: number | undefined;
  /** Images in a batch; each is measured. Default 1. */
  batches?: readonly number[] | undefined;
}

/** Throws FORMAT_UNKNOWN for a checkpoint: it is no model yet. */
function refuseCheckpoint(path: string): void {
  const source = fileSource(path);
  const found = isModel(source);
  const isOrt = Buffer.from(source.read(0, Math.min(8, source.size))).toString('latin1', 4) === 'ORTM';
  source.close();
  if (found) return;
  if (isOrt)
    throw new GpdError('FORMAT_UNKNOWN', `${path} is in onnxruntime’s own format, which is not read here`, {
      at: path,
      hint: 'give the .onnx file that it was made of; gpd export times both',
    });
  const hint = 'convert it first: gpd convert FILE; --emit training-student gives the network as it was trained';
  throw new GpdError('FORMAT_UNKNOWN', `${path} is no ONNX file`, {at: path, hint});
}

/** What was measured, and why on this provider. */
export interface BenchReport extends BenchResult {
  providerReason: string;
}

/** Times ONNX files. Throws GpdError: FORMAT_UNKNOWN for a checkpoint, PROVIDER_UNAVAILABLE. */
export async function benchFiles(models: readonly string[], options: BenchFilesOptions = {}): Promise<BenchReport> {
  const {threads, batches, device, imageSize, provider = 'cpu', ...rest} = options;
  for (const path of models) refuseCheckpoint(path);
  const {name, reason} = chooseProvider(provider);
  const result = await bench({
    ...rest,
    models: distinguish(models.map((path) => subjectOfFile(path, {imageSize, anyOutput: true}))),
    provider: name,
    deviceId: device,
    ...(threads && {threads}),
    ...(batches && {batches}),
  });
  return {...result, providerReason: reason};
}
