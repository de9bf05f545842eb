/** A recognised network as plain data: what `--json` shows of it, in `gpd convert` and in `gpd inspect`. */
import type {KeyUse} from '../../models/match-keys.js';
import type {Evidence, Recognised} from '../../models/recognise.js';

export interface NetworkSummary {
  /** `resnet18`, or a description of the sizes when they match no published network. */
  name: string;
  family: string;
  kind: Recognised['kind'];
  /** Width of the dynamic teacher over the student's; 1 where GPD did not widen the network. */
  ratio: number;
  classes: number;
  /** Pixels a side. */
  imageSize: number;
  /** Names of the convolutions that are stored as OREPA branches. */
  orepa: string[];
  reviewKd: boolean;
  evidence: Evidence[];
  tensors: KeyCounts;
}

/** How many tensors of the state dict are read by which network, and those that neither reads. */
export interface KeyCounts {
  both: number;
  student: number;
  teacher: number;
  ignored: {reason: string; keys: string[]}[];
}

export function summariseNetwork(r: Recognised): NetworkSummary {
  return {
    name: r.arch.name,
    family: r.arch.family,
    kind: r.kind,
    ratio: r.form.ratio,
    classes: r.arch.classes,
    imageSize: r.imageSize,
    orepa: [...r.form.orepa],
    reviewKd: r.reviewKd,
    evidence: r.evidence.map(({what, value, from}) => ({what, value, from})),
    tensors: countKeys(r.keys),
  };
}

function countKeys(keys: readonly KeyUse[]): KeyCounts {
  const used = (use: KeyUse['use']) => keys.filter((key) => key.use === use).length;
  const byReason = new Map<string, string[]>();
  for (const {key, use, reason = 'not used'} of keys) {
    if (use !== 'ignored') continue;
    const ignored = byReason.get(reason) ?? [];
    ignored.push(key);
    byReason.set(reason, ignored);
  }
  return {
    both: used('both'),
    student: used('student'),
    teacher: used('teacher'),
    ignored: [...byReason].map(([reason, ignored]) => ({reason, keys: ignored})),
  };
}
