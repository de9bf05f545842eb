/** The library: everything that the commands do, as functions. `import {openCheckpoint, convertFile} from 'gpd-toolkit'`. */
export {type Checkpoint, type OpenOptions, openCheckpoint} from './checkpoint/open.js';
export {writeSafetensors} from './checkpoint/write-safetensors.js';
export {orderedStateDict, type SaverContents, saverLayout, writeTorch, writeTorchLegacy} from './checkpoint/write-torch.js';
export {buildModel, DEFAULT_OPSET, type Emit, emitNames, MAX_OPSET, MIN_OPSET, type ModelOptions} from './convert/build.js';
export {type ConversionReport, type ConvertOptions, convertFile, type OutputReport} from './convert/convert.js';
export {deployedWeights} from './convert/deployed-weights.js';
export type {Proof} from './convert/prove.js';
export {type ByteSource, bufferSource, fileSource} from './core/bytes.js';
export {type ErrorCode, errorCodes, GpdError} from './core/error.js';
export type {DType, Shape, StateDict, Tensor, TensorSource} from './core/tensor.js';
export {type ArchName, archNames, archs} from './models/families/index.js';
export {type Recognised, type RecogniseOptions, recognise} from './models/recognise.js';
export {decodeModel} from './onnx/decode.js';
export {encodeModel, modelBytes} from './onnx/encode.js';
export type {Graph, Model, Node, Value} from './onnx/graph.js';
export {printModel} from './onnx/text.js';
