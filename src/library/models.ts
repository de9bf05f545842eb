/** ONNX models in memory. */
export {
  buildModel,
  DEFAULT_OPSET,
  type Emit,
  emitNames,
  MAX_WRITTEN_OPSET,
  MIN_OPSET,
  type NetworkOptions,
} from '../convert/build.js';
export {decodeModel} from '../onnx/decode.js';
export {encodeModel, modelBytes} from '../onnx/encode.js';
export type {Graph, Model, Node, Value} from '../onnx/graph.js';
export {printModel} from '../onnx/text.js';
