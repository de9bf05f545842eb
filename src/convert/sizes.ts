/** How large a network is, before and after. */
import {byteLength, elementCount} from '../core/tensor.js';
import type {Recognised} from '../models/recognise.js';
import {networkMacs} from '../models/walk.js';
import type {Model} from '../onnx/graph.js';
import {countWeights} from '../onnx/weights.js';
import type {Role} from '../reparam/parameters.js';

export interface NetworkSize {
  /** Numbers in float tensors: weights, biases, statistics. */
  parameters: number;
  weightBytes: number;
  /** Undefined for a checkpoint. */
  nodes?: number;
  /** Multiply-accumulates for one image. */
  macs: number;
}

/** All float tensors of the network in the checkpoint. MACs are the dynamic teacher's, which is what was trained. */
export function sizeOfCheckpoint(r: Recognised): NetworkSize {
  const tensors = [...r.stateDict.values()].filter((t) => t.dtype.includes('float'));
  return {
    parameters: tensors.reduce((n, t) => n + elementCount(t.shape), 0),
    weightBytes: tensors.reduce((n, t) => n + byteLength(t), 0),
    macs: networkMacs(r.records, r.form.ratio),
  };
}

export function sizeOfModel(model: Model, r: Recognised, role: Role): NetworkSize {
  const {parameters, bytes: weightBytes} = countWeights(model.graph);
  return {
    parameters,
    weightBytes,
    nodes: model.graph.nodes.length,
    macs: networkMacs(r.records, role === 'teacher' ? r.form.ratio : 1),
  };
}
