/** What was made and is still there: handles of the backend between two points, by the kernel that made them. */
import {type DataId, engine, type Variable} from '@tensorflow/tfjs-core';
import {trace} from '../../core/debug.js';
import type {OnnxruntimeBackend} from '../backend/backend.js';

export interface Leak {
  /** The kernel, `tensor()` for numbers from JavaScript or TensorFlow.js's cpu code, `jit` for results of a captured step. */
  madeBy: string;
  dtype: string;
  shape: readonly number[];
  count: number;
}

export interface LeakReport {
  /** How many more (or fewer) tensors TensorFlow.js counts, and how many more pieces of data the backend holds. */
  tensors: number;
  data: number;
  /** Made since the beginning and still held, most frequent first; not what variables hold. */
  held: Leak[];
}

/** Watches from now on. `report` may be called several times, `stop` ends the bookkeeping. */
export class LeakCheck {
  private readonly made = new Map<DataId, Omit<Leak, 'count'>>();
  private readonly tensors = engine().memory().numTensors;
  private readonly data: number;

  constructor(private readonly backend: OnnxruntimeBackend) {
    this.data = backend.numDataIds();
    backend.observer = {
      made: (dataId, what) => void this.made.set(dataId, what),
      disposed: (dataId) => void this.made.delete(dataId),
    };
  }

  report(): LeakReport {
    const counts = new Map<string, Leak>();
    const variables = Object.values(engine().registeredVariables as Record<string, Variable>);
    const kept = new Set(variables.map((v) => v.dataId));
    for (const [dataId, what] of this.made) {
      if (kept.has(dataId)) continue;
      const key = `${what.madeBy} ${what.dtype}[${what.shape}]`;
      const known = counts.get(key) ?? {...what, count: 0};
      known.count++;
      counts.set(key, known);
    }
    return {
      tensors: engine().memory().numTensors - this.tensors,
      data: this.backend.numDataIds() - this.data,
      held: [...counts.values()].sort((a, b) => b.count - a.count),
    };
  }

  stop(): void {
    this.backend.observer = undefined;
  }
}

/** `12 more tensors: 8 × Conv2D float32[8, 6, 6, 4]; 4 × tensor() float32[3]`. */
export const leakText = ({tensors, data, held}: LeakReport): string => {
  const list = held.map(({madeBy, dtype, shape, count}) => `${count} × ${madeBy} ${dtype}[${shape.join(', ')}]`);
  return `${tensors} more tensors, ${data} more data: ${list.join('; ') || 'nothing that was made since'}`;
};

const steps = new WeakMap<OnnxruntimeBackend, {check: LeakCheck; tensors: number}>();

/** For `GPD_DEBUG=leak`, before each captured step: what those before have left. */
export function traceStepLeaks(backend: OnnxruntimeBackend): void {
  const known = steps.get(backend) ?? {check: new LeakCheck(backend), tensors: 0};
  steps.set(backend, known);
  const report = known.check.report();
  if (report.tensors > known.tensors) trace('leak', () => leakText(report));
  known.tensors = report.tensors;
}
