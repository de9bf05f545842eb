/** Which parameters decay: the groups of the original's two optimiser builders, as tables over names and shapes. */
import type {Shape} from '../../../core/tensor.js';

export interface ParameterInfo {
  readonly key: string;
  readonly shape: Shape;
  /** Whether it is the affine part of a batch or layer norm. */
  readonly ofNorm: boolean;
}

export type DecayRule =
  /** torchvision's `set_weight_decay`: everything decays, unless its kind has a decay of its own. */
  | {
      readonly kind: 'all';
      readonly weightDecay: number;
      readonly norm?: number;
      readonly bias?: number;
      readonly embedding?: number;
    }
  /** timm's `add_weight_decay`: vectors and biases do not decay. */
  | {readonly kind: 'matrices'; readonly weightDecay: number};

export interface DecayGroup {
  readonly weightDecay: number;
  readonly keys: readonly string[];
}

const EMBEDDINGS = ['class_token', 'position_embedding', 'relative_position_bias_table'];
const leafOf = (key: string) => key.slice(key.lastIndexOf('.') + 1);

interface Row {
  readonly weightDecay: number;
  readonly takes: (p: ParameterInfo) => boolean;
}

/** The groups in the optimiser's order, with the rule that fills each; `firstChoice` has the order in which a parameter looks. */
function rowsOf(rule: DecayRule): {rows: Row[]; firstChoice: Row[]} {
  if (rule.kind === 'matrices') {
    const none: Row = {
      weightDecay: 0,
      takes: ({key, shape}) => shape.length <= 1 || leafOf(key) === 'bias' || key === 'pos_embed',
    };
    const rest: Row = {weightDecay: rule.weightDecay, takes: () => true};
    return {rows: [none, rest], firstChoice: [none, rest]};
  }
  const row = (weightDecay: number | undefined, takes: Row['takes']): Row[] =>
    weightDecay === undefined ? [] : [{weightDecay, takes}];
  const [other, norm] = [row(rule.weightDecay, () => true), row(rule.norm, (p) => p.ofNorm)];
  const named = [
    ...row(rule.bias, ({key}) => leafOf(key) === 'bias'),
    ...EMBEDDINGS.flatMap((name) => row(rule.embedding, ({key}) => leafOf(key) === name)),
  ];
  return {rows: [...other, ...norm, ...named], firstChoice: [...named, ...norm, ...other]};
}

/** Parameters keep their order within a group; groups without any are left out. */
export function decayGroups(parameters: readonly ParameterInfo[], rule: DecayRule): DecayGroup[] {
  const {rows, firstChoice} = rowsOf(rule);
  const chosen = new Map(parameters.map((p) => [p.key, firstChoice.find((row) => row.takes(p))!]));
  return rows
    .map((row) => ({weightDecay: row.weightDecay, keys: parameters.map((p) => p.key).filter((key) => chosen.get(key) === row)}))
    .filter(({keys}) => keys.length > 0);
}
