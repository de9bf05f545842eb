/** Conditions that a result was asked to meet. A gate that is not met is a result too: reported in full, exit 1. */
import type {SubjectForm} from './subject.js';

/** Bounds on accuracy; those that are absent are not asked for. */
export interface GateOptions {
  /** Percent. */
  minTop1?: number | undefined;
  /** Points of top-1 below the baseline. */
  maxDrop?: number | undefined;
  /** Percent of images with the baseline's top class. */
  minAgreement?: number | undefined;
}

/** One bound for one model, and whether it holds. */
export interface GateResult {
  gate: 'min-top1' | 'max-drop' | 'min-agreement';
  model: string;
  bound: number;
  /** Null where there is nothing to judge: no labels, no images, or outputs that are not finite. */
  value: number | null;
  /** Why there is nothing to judge. */
  because: string | null;
  ok: boolean;
}

/** What a gate reads of a model's summary. */
export interface Gated {
  readonly name: string;
  readonly form: SubjectForm;
  readonly images: number;
  /** Percent; null where it was not measured. */
  readonly top1: number | null;
  /** Percent of images with the baseline's top class. */
  readonly agreement: number | null;
  /** Images with NaN or infinite outputs. */
  readonly nonFinite: number;
}

interface Gate {
  bound(options: GateOptions): number | undefined;
  value(model: Gated, baseline: Gated): number | null;
  meets(value: number, bound: number): boolean;
  /** The baseline is not compared with itself. */
  judgesBaseline: boolean;
}

const drop = (model: Gated, baseline: Gated): number | null =>
  model.top1 === null || baseline.top1 === null ? null : rounded(baseline.top1 - model.top1);
/** 81.02 − 80.92 is 0.1, not 0.09999…. */
const rounded = (points: number): number => Number(points.toFixed(6));

/** THE table of gates. */
const gates: Readonly<Record<GateResult['gate'], Gate>> = {
  'min-top1': {
    bound: (o) => o.minTop1,
    value: (model) => model.top1,
    meets: (value, bound) => value >= bound,
    judgesBaseline: true,
  },
  'max-drop': {
    bound: (o) => o.maxDrop,
    value: drop,
    meets: (value, bound) => value <= bound,
    judgesBaseline: false,
  },
  'min-agreement': {
    bound: (o) => o.minAgreement,
    value: (model) => model.agreement,
    meets: (value, bound) => value >= bound,
    judgesBaseline: false,
  },
};

/** The dynamic teacher is not judged: it is not what is deployed. What cannot be measured does not pass. */
export function judge(options: GateOptions, models: readonly Gated[], baseline: Gated): GateResult[] {
  const judged = models.filter((m) => m.form !== 'teacher');
  return (Object.entries(gates) as [GateResult['gate'], Gate][]).flatMap(([gate, {bound, value, meets, judgesBaseline}]) => {
    const limit = bound(options);
    if (limit === undefined) return [];
    const compared = judgesBaseline ? judged : judged.filter((m) => m !== baseline);
    return compared.map((model): GateResult => {
      const measured = value(model, baseline);
      const because = measured === null ? whyNothing(model, baseline) : null;
      return {gate, model: model.name, bound: limit, value: measured, because, ok: measured !== null && meets(measured, limit)};
    });
  });
}

function whyNothing(...models: readonly Gated[]): string {
  const broken = models.find((m) => m.nonFinite > 0);
  if (!broken) return models[0]!.images === 0 ? 'there is no image' : 'no image has a label';
  const images = `${broken.nonFinite} image${broken.nonFinite === 1 ? '' : 's'}`;
  return `outputs of ${broken.name} are NaN or infinite on ${images}`;
}
