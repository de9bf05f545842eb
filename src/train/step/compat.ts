/**
 * THE table of what the original training code does otherwise than one would want, and where we do it right by default.
 * `--compat reference` does what the original does, number by number. A rule that nothing asks for fails the tests.
 */

export const compatNames = ['default', 'reference'] as const;
export type Compat = (typeof compatNames)[number];

export interface CompatRule {
  readonly default: string;
  readonly reference: string;
}

export const compatRules = {
  teacherBatchStatistics: {
    default: 'the static teacher normalises with its stored statistics, and stays as it was trained',
    reference: 'it is left in training mode: it normalises with those of each batch, and its stored statistics drift',
  },
  copiedStatistics: {
    default:
      "the student's statistics are filled once, when a state is loaded that has none of its own; they see the student alone",
    reference:
      "every pass copies the dynamic teacher's statistics over the student's where the mean of the latter is exactly 0: in a new run after the dynamic teacher's first update",
  },
  logitsAsTargets: {
    default: "the distillation loss 'bce' takes the dynamic teacher's probabilities (sigmoid) as targets",
    reference: 'it takes its raw logits, which are no probabilities',
  },
  truncatedCounters: {
    default: "the moving average carries the model's own counters of batches",
    reference: 'counters are averaged like weights and truncated to whole numbers, which keeps them at 0 for a long time',
  },
  activatedFeatures: {
    default: 'ReviewKD compares the maps of each stage before its last activation, as its authors do',
    reference: 'it means to, but in ResNets the activation that follows works in place: their maps are compared after it',
  },
  narrowOrepa: {
    default: 'OREPA replaces every 3x3 convolution of stride 1 and padding 1',
    reference: 'in RVTs only those with fewer than 700 outputs, so that it does nothing in the published sizes',
  },
  laggingSchedule: {
    default: 'the cosine schedule gives epoch e the rate of epoch e',
    reference: 'epoch e > 0 runs at the rate of epoch e - 1: two epochs at the rate that the warm-up starts from',
  },
} as const satisfies Record<string, CompatRule>;
export type CompatRuleName = keyof typeof compatRules;

/** Whether a step is to do what the original does. */
export const asReference = (compat: Compat, _rule: CompatRuleName): boolean => compat === 'reference';
