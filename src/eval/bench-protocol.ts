/** What the bench and its child processes say to each other. Plain data: it crosses a process border. */
import type {ProviderName} from '../onnx/providers.js';

export interface ChildTask {
  /** Null: the matrix products of `gemm.ts`, which the child makes itself, so that no file has to lie anywhere. */
  path: string | null;
  input: {name: string; dtype: 'float32' | 'float16' | 'float64' | 'uint8'; shape: readonly number[]};
  provider: ProviderName;
  deviceId?: number | undefined;
  threads?: number | undefined;
  /** Bytes of resident memory at which the child ends itself. */
  memoryLimit: number;
}
/** Runs for so long, and so many times at least. */
export interface RoundOrder {
  ms: number;
  minRuns: number;
}
export type Order = {open: ChildTask} | {round: RoundOrder} | {close: true};

export interface Opened {
  loadMs: number;
  /** Of the process before the model was loaded. */
  bytesBefore: number;
}
export type Report =
  | {opened: Opened}
  | {latencies: number[]}
  | {closed: {peakBytes: number}}
  | {failed: {message: string; code: string | undefined; hint: string | undefined}};
