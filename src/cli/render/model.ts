/** What a person reads about an ONNX model. */
import {basename} from 'node:path';
import {bytes, count, plural} from '../../core/format.js';
import {printable} from '../../core/printable.js';
import {formatShape} from '../../core/tensor.js';
import type {OnnxSummary, ValueSummary} from '../../workflows/summaries/model.js';
import type {Style} from '../terminal/style.js';
import {tableLines} from '../terminal/table.js';
import {labelled} from '../terminal/wrap.js';

export function renderModel(m: OnnxSummary, style: Style): string[] {
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
    ...labelled(
      facts.map(([label, text]) => [label, printable(text)]),
      {labelWidth: 7, paint: style.dim},
    ),
    ...(Object.keys(m.metadata).length === 0 ? [] : ['', style.bold('metadata'), ...renderMetadata(m.metadata, style)]),
  ];
}

const describe = ({name, dtype, shape}: ValueSummary): string =>
  `${name} ${dtype}${shape ? ` ${formatShape(shape)}` : ' of unknown shape'}`;

const MAX_VALUE = 70;
const renderMetadata = (metadata: Record<string, string>, style: Style): string[] =>
  tableLines(
    Object.entries(metadata).map(([key, value]) => [printable(key), printable(value)]),
    [{paint: style.dim, maxWidth: 30}, {maxWidth: MAX_VALUE}],
  );
