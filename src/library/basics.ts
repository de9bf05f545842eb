/** Errors, bytes and tensors: what the rest is made of. */
export {type ByteSource, bufferSource, fileSource} from '../core/bytes.js';
export {type ErrorCode, errorCodes, GpdError} from '../core/error.js';
export type {PhaseHooks} from '../core/phases.js';
export type {DType, Shape, StateDict, Tensor, TensorSource} from '../core/tensor.js';
