/** What a person reads after a conversion: what it was, what became of it, why it can be trusted, and where it is. */
import type {Proof} from '../convert/prove.js';
import type {ConversionSummary, OutputSummary} from './conversion-summary.js';
import {bytes, count, duration, plural, printable, si, tiny} from './format.js';
import {renderNetwork} from './render-network.js';
import type {Style} from './style.js';
import {table} from './table.js';

export function renderConversion(c: ConversionSummary, style: Style): string[] {
  return [
    ...renderNetwork(c.network, style),
    '',
    ...renderSizes(c, style),
    '',
    ...c.outputs.flatMap((output) => (output.proof ? renderProof(output.emit, output.proof, style) : [])),
    ...c.warnings.map((warning) => `${style.warn('warning')}  ${printable(warning)}`),
    ...c.outputs.map((output) => renderOutput(output, style)),
    style.dim(renderTiming(c)),
  ];
}

function renderSizes({before, outputs, input}: ConversionSummary, style: Style): string[] {
  const right = {align: 'right'} as const;
  const rows = [
    ['', 'parameters', 'weights', 'nodes', 'MACs'],
    [input.stateDictKey ?? 'checkpoint', count(before.parameters), bytes(before.weightBytes), '', si(before.macs)],
    ...outputs.map((o) => [o.emit, count(o.parameters), bytes(o.weightBytes), count(o.nodes), si(o.macs)]),
  ];
  const [head, ...body] = table(rows, [{}, right, right, right, right]);
  return [style.dim(head!), ...body];
}

/** The worst image decides. */
function renderProof(emit: string, {maxAbs, relative, bound, images}: Proof, style: Style): string[] {
  const same = images.filter((image) => image.sameTop1).length;
  const margin =
    relative > 0 ? `, ${count(Math.floor(bound / relative))} times inside the bound of ${tiny(bound)}` : ' exactly';
  return [
    `${style.good('proven')}  ${emit} and training form agree on ${plural(images.length, 'image')}, run by onnxruntime:`,
    `        logits within ${tiny(relative)} of the largest${margin}`,
    `        (at most ${tiny(maxAbs)} in numbers); the same top class on ${same} of ${images.length}`,
  ];
}

function renderOutput({path, bytes: size, externalBytes, opset}: OutputSummary, style: Style): string {
  const external = externalBytes > 0 ? ` and ${bytes(externalBytes)} in ${printable(path)}.data` : '';
  return `${style.good('wrote')}   ${style.bold(printable(path))}  ${bytes(size)}${external}, opset ${opset}`;
}

function renderTiming({timing, input, peakBytes}: ConversionSummary): string {
  const phases = timing.phases.filter(({ms}) => ms >= 5).map(({phase, ms}) => `${phase} ${duration(ms)}`);
  return [
    `${duration(timing.totalMs)} for ${bytes(input.bytes)}, at most ${bytes(peakBytes)} of memory`,
    `  ${phases.join(', ')}`,
  ].join('\n');
}
