/** Pruning by channels leaves a residual network whose blocks have widths of their own: it is told apart from a damaged file. */
import {GpdError} from '../core/error.js';
import type {StateDict} from '../core/tensor.js';

interface Conv {
  readonly name: string;
  readonly stage: string;
  readonly outputs: number;
}

/** The convolutions inside a block that are as wide as each other, in ResNets of every kind: the first two of every block of a stage. */
function innerConvs(stateDict: StateDict): Conv[] {
  return [...stateDict].flatMap(([key, {shape}]): Conv[] => {
    const [, name, stage] = /^((layer\d+)\.\d+\.conv[12])\.weight(?:_orig|_orepa_origin)?$/.exec(key) ?? [];
    return name === undefined || shape.length !== 4 ? [] : [{name, stage: stage!, outputs: shape[0]!}];
  });
}

/** Throws SHAPE_MISMATCH for residual blocks of uneven widths. */
export function refuseCutChannels(stateDict: StateDict): void {
  const firstOf = new Map<string, Conv>();
  for (const conv of innerConvs(stateDict)) {
    const first = firstOf.get(conv.stage) ?? conv;
    firstOf.set(conv.stage, first);
    if (conv.outputs === first.outputs) continue;
    throw new GpdError(
      'SHAPE_MISMATCH',
      `channels were cut (structured pruning): '${first.name}' has ${first.outputs} outputs, '${conv.name}' has ${conv.outputs}`,
      {
        at: conv.name,
        hint: 'only networks whose blocks are equally wide within a stage are read here: export it to ONNX with the program that pruned it, and gpd eval, verify, bench and export take that',
      },
    );
  }
}
