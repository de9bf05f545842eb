/** Which TensorFlow.js computes. */
import {GpdError} from '../core/error.js';

export const backendNames = ['onnxruntime', 'tensorflow', 'cpu'] as const;
export type BackendName = (typeof backendNames)[number];

/** Native TensorFlow: its packages download libtensorflow when they are installed, and are the user's to install. */
async function selectTensorflow(): Promise<void> {
  const {setBackend} = await import('@tensorflow/tfjs-core');
  for (const name of ['@tensorflow/tfjs-node-gpu', '@tensorflow/tfjs-node']) {
    try {
      await import(name);
      await setBackend('tensorflow');
      return;
    } catch {
      // the next one; both missing is reported below
    }
  }
  throw new GpdError('PROVIDER_UNAVAILABLE', 'neither @tensorflow/tfjs-node-gpu nor @tensorflow/tfjs-node can be loaded', {
    hint: 'npm install @tensorflow/tfjs-node, or leave --backend out',
  });
}

const select: Readonly<Record<BackendName, () => Promise<void>>> = {
  async onnxruntime() {
    const {registerOnnxruntimeBackend} = await import('../tfjs/register.js');
    await registerOnnxruntimeBackend();
  },
  tensorflow: selectTensorflow,
  async cpu() {
    await import('@tensorflow/tfjs-backend-cpu');
    const {setBackend} = await import('@tensorflow/tfjs-core');
    await setBackend('cpu');
  },
};

/** Makes a backend the current one, with gradients. */
export async function selectBackend(name: BackendName): Promise<void> {
  await import('@tensorflow/tfjs-layers'); // for Node, TensorFlow.js registers its gradients here and nowhere else
  await select[name]();
}
