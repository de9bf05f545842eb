/** An error for a person: what, where, why, and what to do next. */
import type {GpdError} from '../../core/error.js';
import {printable} from '../../core/printable.js';
import type {Style} from '../terminal/style.js';
import {wrapText} from '../terminal/wrap.js';

const WIDTH = 74;

export function renderError({message, at, code, hint}: GpdError, style: Style): string[] {
  const isNew = at !== undefined && !message.includes(at.replace(/[@#].*$/, ''));
  const parts = [`Error: ${message}`, isNew && `Where: ${at}`, `Code: ${code}`, hint !== undefined && `Try this: ${hint}`];
  const lines = parts.filter((part) => part !== false).flatMap((part) => wrapText(printable(part), WIDTH));
  return lines.map((line) => ` ${style.bad('›')}   ${line}`);
}
