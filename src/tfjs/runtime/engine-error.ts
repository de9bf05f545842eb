/** Messages of onnxruntime name nodes; users know the kernel calls that the nodes were made for. */
import {GpdError} from '../../core/error.js';

/** The call whose node a text names: `Gather.12`, or `fused Gemm.3` for nodes that onnxruntime fused. */
export function originIn(text: string, origins: ReadonlyMap<string, string>): string | undefined {
  for (const [name] of text.matchAll(/\w+\.\d+/g)) {
    const origin = origins.get(name);
    if (origin) return origin;
  }
  return undefined;
}

/** Runs a session, or makes one; what onnxruntime says is put into TensorFlow.js's words. */
export function inKernelTerms<T>(origins: ReadonlyMap<string, string>, work: () => T): T {
  try {
    return work();
  } catch (cause) {
    const {message} = cause as Error;
    const origin = originIn(message, origins);
    throw new GpdError('ENGINE_FAILED', origin ? `${origin}: ${message}` : `onnxruntime failed: ${message}`, {
      ...(origin && {at: origin.slice(0, origin.indexOf('('))}),
      hint: 'look at the indices and sizes of the call; GPD_DEBUG=graph writes the whole graph, which runs in any onnxruntime',
      cause,
    });
  }
}
