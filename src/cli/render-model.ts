/** What a person reads about an ONNX model. */
import {basename} from 'node:path';
import {formatShape} from '../core/tensor.js';
import {bytes, count, plural, printable} from './format.js';
import type {ModelSummary, ValueSummary} from './model-summary.js';
import type {Style} from './style.js';
import {table} from './table.js';

export function renderModel(m: ModelSummary, style: Style): string[] {
  const {name, version} = m.producer;
  const domains = Object.entries(m.domains).map(([domain, n]) => `, ${domain} ${n}`);
  const facts: [string, string][] = [
    ['made by', `${name} ${version}`.trim() || 'unknown'],
    ['opset', `${m.opset}${domains.join('')} (IR ${m.irVersion})`],
    ['input', m.inputs.map(describe).join(', ')],
    ['output', m.outputs.map(describe).join(', ')],
    ['weights', `${count(m.parameters)} parameters in ${plural(m.initializers, 'initializer')}, ${bytes(m.weightBytes)}`],
    ['nodes', `${count(m.nodes)}: ${m.operators.map(({operator, count: n}) => `${n} ${operator}`).join(', ')}`],
  ];
  return [
    `${style.bold(printable(basename(m.path)))}  ONNX model, ${bytes(m.bytes)}`,
    ...wrapRows(facts, style),
    ...(Object.keys(m.metadata).length === 0 ? [] : ['', style.bold('metadata'), ...wrapMetadata(m.metadata, style)]),
  ];
}

const describe = ({name, dtype, shape}: ValueSummary): string =>
  `${name} ${dtype}${shape ? ` ${formatShape(shape)}` : ' of unknown shape'}`;

const LABEL = 9;
const WIDTH = 78;

/** The second column wraps under itself. */
function wrapRows(rows: readonly [string, string][], style: Style): string[] {
  return rows.flatMap(([label, text]) =>
    wrap(printable(text), WIDTH - LABEL - 2).map(
      (line, i) => `  ${i === 0 ? style.dim(label.padEnd(LABEL)) : ' '.repeat(LABEL)}${line}`,
    ),
  );
}

function wrap(text: string, width: number): string[] {
  const lines: string[] = [];
  let line = '';
  for (const word of text.split(' ')) {
    if (line !== '' && line.length + 1 + word.length > width) {
      lines.push(line);
      line = word;
    } else line = line === '' ? word : `${line} ${word}`;
  }
  return [...lines, line];
}

const MAX_VALUE = 70;
const wrapMetadata = (metadata: Record<string, string>, style: Style): string[] =>
  table(
    Object.entries(metadata).map(([key, value]) => [printable(key), printable(value)]),
    [{paint: style.dim, maxWidth: 30}, {maxWidth: MAX_VALUE}],
  );
