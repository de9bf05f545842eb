/** `gpd-toolkit/tfjs`: a TensorFlow.js backend on onnxruntime-node, to train at native speed from npm alone. docs/tfjs.md is its guide. */
export type {OnnxruntimeBackend} from './backend.js';
export type {BackendOptions} from './backend-options.js';
export {type JitResult, type Jitted, jit} from './jit.js';
export {jitSteps} from './jit-steps.js';
export {type KernelTime, kernelTimesText} from './kernel-times.js';
export {type Leak, LeakCheck, type LeakReport, leakText} from './leak-check.js';
export {registerOnnxruntimeBackend} from './register.js';
export {type BackendChoice, type BackendName, backendNames, selectBackend} from './select-backend.js';
export {tensor64} from './tensor64.js';
