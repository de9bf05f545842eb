/** float16 as a precision: measured on images, then rewritten. */

import type {Model} from '../../onnx/graph.js';
import {refuseReduced} from '../float-source.js';
import type {Precise, Precision, PrecisionContext} from '../precision.js';
import {measureRanges} from './measure.js';
import {type KeptNode, toHalf} from './to-half.js';

const MAX_LISTED = 8;

const text = (x: number): string => String(Number(x.toPrecision(3)));
const reason = ({because: {why, value, maxAbs, rounding}}: KeptNode): string =>
  why === 'overflow'
    ? `${value} reaches ${text(maxAbs)}`
    : `rounding would change ${value} by ${text(100 * rounding)} % (largest ${text(maxAbs)})`;

function describe(kept: readonly KeptNode[], seen: string): string[] {
  if (kept.length === 0) return [`every value fits into float16 on ${seen}`];
  const listed = kept.slice(0, MAX_LISTED).map((k) => `${k.node} (${k.operator}): ${reason(k)}`);
  const more = kept.length > MAX_LISTED ? [`and ${kept.length - MAX_LISTED} more`] : [];
  const stay = kept.length === 1 ? '1 node stays' : `${kept.length} nodes stay`;
  return [`${stay} in float32, as measured on ${seen}`, ...listed, ...more];
}

async function make(model: Model, {calibration, io, onProgress}: PrecisionContext): Promise<Precise> {
  refuseReduced(model.graph, 'fp16');
  onProgress?.('measure ranges');
  const ranges = await measureRanges(model, calibration);
  const {model: half, kept, casts} = toHalf(model, ranges, io);
  const details = {calibration: calibration.description, io, kept, casts};
  return {model: half, notes: describe(kept, calibration.description), details};
}

export const half: Precision = {
  suffix: '.fp16',
  description: 'float16 weights and arithmetic',
  bound: {
    relative: 0.02,
    because:
      'each of some dozen layers rounds to 11 bits, 5e-4; their errors add up like a random walk, with a factor to spare',
  },
  opset: {since: 14, because: 'onnxruntime 1.30 crashes on transformers in float16 of older ones'},
  make,
};
