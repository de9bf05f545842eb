/** THE list of readers that are fuzzed. */
import type {Reader} from '../reader.js';
import {batches} from './batch.js';
import {bzip2} from './bzip2.js';
import {image} from './image.js';
import {legacy} from './legacy.js';
import {onnx} from './onnx.js';
import {parquet} from './parquet.js';
import {pickle} from './pickle.js';
import {safetensors} from './safetensors.js';
import {set} from './set.js';
import {shards} from './shards.js';
import {tar} from './tar.js';
import {zip} from './zip.js';

export const readers: readonly Reader[] = [
  pickle,
  zip,
  legacy,
  safetensors,
  shards,
  onnx,
  tar,
  image,
  set,
  parquet,
  batches,
  bzip2,
];
