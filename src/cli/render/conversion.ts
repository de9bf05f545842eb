/** What a person reads after a conversion: what it was, what became of it, why it can be trusted, and where it is. */
import type {WeightsReport} from '../../convert/convert.js';
import type {Proof} from '../../convert/prove.js';
import {bytes, count, duration, plural, si, tiny} from '../../core/format.js';
import {printable} from '../../core/printable.js';
import {withoutText} from '../../models/unknown-keys.js';
import type {ConversionSummary, OutputSummary} from '../../workflows/summaries/conversion.js';
import type {NetworkSummary} from '../../workflows/summaries/network.js';
import type {Style} from '../terminal/style.js';
import {tableLines} from '../terminal/table.js';
import {wrapText} from '../terminal/wrap.js';
import {renderNetwork} from './network.js';

const WIDTH = 80;
/** Longer lists are in `--json` and in the metadata of the model. */
const MAX_LISTED = 8;

export function renderConversion(c: ConversionSummary, style: Style): string[] {
  const without = c.without ? ` without ${plural(c.without.keys.length, 'tensor')}` : '';
  return [
    ...renderNetwork(c.network, style),
    '',
    ...renderSizes(c, style),
    '',
    ...c.outputs.flatMap((output) =>
      output.proof ? renderProof(`${output.emit}${without}`, output.proof, c.network, style) : [],
    ),
    ...c.weights.slice(0, 1).flatMap(({proof}) => renderProof(`deployed weights${without}`, proof, c.network, style)), // the same in every format
    ...c.warnings.flatMap((warning) =>
      wrapText(printable(warning), WIDTH - 9).map((line, i) => `${i === 0 ? style.warn('warning') : ' '.repeat(7)}  ${line}`),
    ),
    ...c.outputs.map((output) => renderOutput(output, style)),
    ...c.weights.map((weights) => renderWeights(weights, style)),
    ...renderTiming(c).map(style.dim),
    ...renderLeftOut(c).map(style.warn),
  ];
}

function renderSizes({before, outputs, input}: ConversionSummary, style: Style): string[] {
  const right = {align: 'right'} as const;
  const rows = [
    ['', 'parameters', 'weights', 'nodes', 'MACs'],
    [input.stateDictKey ?? 'checkpoint', count(before.parameters), bytes(before.weightBytes), '', si(before.macs)],
    ...outputs.map((o) => [o.emit, count(o.parameters), bytes(o.weightBytes), count(o.nodes), si(o.macs)]),
  ];
  const [head, ...body] = tableLines(rows, [{}, right, right, right, right]);
  return [style.dim(head!), ...body];
}

/** One output has no class on top that could be another. */
function renderProof(
  what: string,
  {maxAbs, relative, bound, images}: Proof,
  {classes}: NetworkSummary,
  style: Style,
): string[] {
  const same = images.filter((image) => image.sameTop1).length;
  const top = classes > 1 ? `same top class on ${same} of ${images.length}; ` : '';
  return [
    `${style.good('proven')}  ${what}: same logits as the training form on ${plural(images.length, 'image')}`,
    `        they differ by at most ${tiny(maxAbs)}, ${tiny(relative)} of the largest logit (bound ${tiny(bound)})`,
    `        ${top}both ran in onnxruntime`,
  ];
}

/** The last word: what was proven is another network than the checkpoint holds. */
function renderLeftOut({without, outputs, weights}: ConversionSummary): string[] {
  if (!without) return [];
  const isProven = weights.length > 0 || outputs.some(({proof}) => proof);
  return wrapText(`${isProven ? 'proven for' : 'made of'} ${withoutText(without.keys.map(printable), MAX_LISTED)}`, WIDTH);
}

function renderOutput({path, bytes: size, externalBytes, opset}: OutputSummary, style: Style): string {
  const external = externalBytes > 0 ? ` and ${bytes(externalBytes)} in ${printable(path)}.data` : '';
  return `${style.good('wrote')}   ${style.bold(printable(path))}  ${bytes(size)}${external}, opset ${opset}`;
}

const renderWeights = ({path, bytes: size, tensors}: WeightsReport, style: Style): string =>
  `${style.good('wrote')}   ${style.bold(printable(path))}  ${bytes(size)}, ${plural(tensors, 'tensor')}`;

/** Phases that nobody would miss are left out. */
function renderTiming({timing, input, peakBytes}: ConversionSummary): string[] {
  const phases = timing.phases.filter(({ms}) => ms >= timing.totalMs / 20).map(({phase, ms}) => `${phase} ${duration(ms)}`);
  const line = `${duration(timing.totalMs)} for ${bytes(input.bytes)}, at most ${bytes(peakBytes)} of memory: ${phases.join(', ')}`;
  return wrapText(line, WIDTH);
}
