/** `gpd-toolkit/tfjs`: a TensorFlow.js backend on onnxruntime-node, to train at native speed from npm alone. docs/tfjs.md is its guide. */
export type {OnnxruntimeBackend} from './backend/backend.js';
export type {BackendOptions} from './backend/backend-options.js';
export {registerOnnxruntimeBackend} from './backend/register.js';
export {type BackendChoice, type BackendName, backendNames, selectBackend} from './backend/select-backend.js';
export {tensor64} from './backend/tensor64.js';
export {type JitResult, type Jitted, jit} from './jit/jit.js';
export {jitSteps} from './jit/jit-steps.js';
export {type Leak, LeakCheck, type LeakReport, leakText} from './jit/leak-check.js';
export {type KernelTime, kernelTimesText} from './runtime/kernel-times.js';
