/** THE list of passes that make the minimal network, in order. */
import {foldConstants} from '../fold-constants.js';
import {type Pass, rewritePass} from '../pass.js';
import {foldScoreScale, fuseAttention} from './attention.js';
import {canonicalNames} from './canonical-names.js';
import {eliminateRules} from './eliminate.js';
import {fuseBnIntoConv} from './fuse-bn-into-conv.js';
import {fuseDivisorIntoConv, fuseScaleIntoConv} from './fuse-scale-into-conv.js';
import {sliceInitializers} from './slice-initializers.js';

/** Reading in part, so that nothing later asks for the whole of a wide tensor. The form that is proven against stops here. */
export const readInPart: Pass = rewritePass('slice-initializers', [sliceInitializers]);

const fuseAttentionFromOpset: Pass = {
  name: 'fuse-attention',
  run: (model) => (model.opset >= 23 ? rewritePass('fuse-attention', [fuseAttention]).run(model) : 0),
};

export const minimalPasses: readonly Pass[] = [
  readInPart,
  rewritePass('eliminate', eliminateRules),
  rewritePass('fuse-into-conv', [fuseBnIntoConv, fuseScaleIntoConv, fuseDivisorIntoConv]),
  fuseAttentionFromOpset, // before the scale is folded: the operator has a factor of its own
  rewritePass('fold-score-scale', [foldScoreScale]),
  foldConstants, // after every rule that builds expressions: one rounding for all of them
  canonicalNames,
];
