/** What a person reads of a set's warnings: a line a kind, with its number and two examples. */
import {printable} from '../../core/printable.js';
import {type DataWarning, type WarningOfSet, warningText} from '../../data/warnings.js';
import type {Style} from '../terminal/style.js';
import {wrapText} from '../terminal/wrap.js';

const WIDTH = 100;
const LABEL = 'warning';

/** Those of several sets begin with the name of theirs. */
export const renderWarnings = (all: readonly (DataWarning | WarningOfSet)[], style: Style): string[] =>
  all.flatMap((warning) => renderWarning(warningText(warning), style));

/** What must be known of the models themselves, each under the name of its model; the networks of one file share theirs. */
export function renderModelWarnings(models: readonly ModelWithWarnings[], style: Style): string[] {
  const texts = models.flatMap(({path, warnings}) => warnings.map((text) => `${path}: ${text}`));
  return [...new Set(texts)].flatMap((text) => renderWarning(text, style));
}
interface ModelWithWarnings {
  readonly path: string;
  readonly warnings: readonly string[];
}

const renderWarning = (text: string, style: Style): string[] =>
  wrapText(printable(text), WIDTH - LABEL.length - 2).map((line, i) =>
    i === 0 ? `${style.warn(LABEL)}  ${line}` : `${' '.repeat(LABEL.length + 2)}${line}`,
  );
