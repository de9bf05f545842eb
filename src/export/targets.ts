/**
 * THE table of targets: what a runtime reads, and what it cannot. A form that a target cannot run is refused with the reason, before
 * anything is computed; opset and IR version are those that every current release of the runtime reads.
 */
import {GpdError} from '../core/error.js';
import type {Model} from '../onnx/graph.js';
import type {ResizerName} from './preprocess/resize.js';

export interface Target {
  readonly description: string;
  readonly opset: number;
  readonly irVersion: number;
  /** Used unless a batch is asked for. */
  readonly batch: number | 'dynamic';
  /** How images are resized inside the model, or why they cannot be. */
  readonly resizer: ResizerName | {readonly refused: string};
  /** Operators that it does not have, or not in the form that is written here, and why. */
  readonly refuses: Readonly<Record<string, string>>;
}

const noText = 'it has no tensors of text: take the labels from the metadata';

export const targets = {
  // https://onnxruntime.ai/docs/reference/compatibility.html: opset 20 and IR 9 since 1.17. Float64 products are slow in WebAssembly.
  'ort-web': {
    description: 'onnxruntime-web 1.17 and later',
    opset: 20,
    irVersion: 9,
    batch: 'dynamic',
    resizer: 'resize-op',
    refuses: {},
  },
  // https://onnxruntime.ai/docs/tutorials/mobile: packages with all operators; NNAPI, XNNPACK and CoreML take fixed shapes alone.
  'ort-mobile': {
    description: 'onnxruntime for Android and iOS, 1.17 and later',
    opset: 18,
    irVersion: 8,
    batch: 1,
    resizer: 'resize-op',
    refuses: {},
  },
  // https://github.com/onnx/onnx-tensorrt/blob/release/8.6-GA/docs/operators.md: up to opset 17; Resize without antialias; DOUBLE is
  // cast to FLOAT, which has no room for sums of 30 bits.
  tensorrt: {
    description: 'TensorRT 8.6 and later',
    opset: 17,
    irVersion: 8,
    batch: 'dynamic',
    resizer: {refused: 'TensorRT has neither an antialiased Resize nor float64: prepare images before it, as gpd eval does'},
    refuses: {Constant: noText},
  },
  openvino: {
    description: 'OpenVINO 2024 and later',
    opset: 17,
    irVersion: 8,
    batch: 'dynamic',
    resizer: 'matrices',
    refuses: {Constant: noText},
  },
  // https://onnxruntime.ai/docs/execution-providers/CoreML-ExecutionProvider.html: fixed shapes are fastest; what it does not take, the CPU runs.
  coreml: {
    description: 'the CoreML provider of onnxruntime',
    opset: 18,
    irVersion: 8,
    batch: 1,
    resizer: 'resize-op',
    refuses: {},
  },
} as const satisfies Record<string, Target>;
export type TargetName = keyof typeof targets;
export const targetNames = Object.keys(targets) as TargetName[];

/** How images are resized for a target. Throws EXPORT_REFUSED where they cannot be. */
export function resizerFor(name: TargetName): ResizerName {
  const {resizer}: Target = targets[name];
  if (typeof resizer === 'string') return resizer;
  throw new GpdError('EXPORT_REFUSED', `--target ${name}: ${resizer.refused}`, {
    hint: 'leave --embed-preprocessing out for it',
  });
}

/** Throws EXPORT_REFUSED at the first operator that the target does not have. */
export function checkTarget({graph}: Model, name: TargetName): void {
  const {refuses}: Target = targets[name];
  const node = graph.nodes.find(({opType}) => refuses[opType] !== undefined);
  if (!node) return;
  throw new GpdError('EXPORT_REFUSED', `--target ${name}: ${node} cannot run there: ${refuses[node.opType]}`, {
    at: node.name,
    hint: 'choose another target, or leave out what needs it',
  });
}
