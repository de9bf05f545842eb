/** TensorFlow.js's own suite, as shipped in @tensorflow/tfjs-core, against the backend named by the first argument. */
import '@tensorflow/tfjs-core/dist/public/chained_ops/register_all_chained_ops.js';
import '@tensorflow/tfjs-core/dist/register_all_gradients.js';
import {setTestEnvs} from '@tensorflow/tfjs-core/dist/jasmine_util.js';
import {BACKEND_NAME} from '../../src/tfjs/backend/backend.js';
import {registerOnnxruntimeBackend} from '../../src/tfjs/backend/register.js';

const name = process.env['CONFORMANCE_BACKEND'] ?? BACKEND_NAME;
const backend = await registerOnnxruntimeBackend({smallSteps: process.env['CONFORMANCE_SMALL'] === 'cpu' ? 'cpu' : 'recorded'});
setTestEnvs([{name, backendName: name, isDataSync: true}]);
await import('@tensorflow/tfjs-core/dist/tests.js');

export {backend};
