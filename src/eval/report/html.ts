/** HTML from templates: whatever is put in is escaped, unless it is HTML made here already. */
import {visible} from '../../core/printable.js';

export class Html {
  constructor(readonly text: string) {}
}
type Part = Html | string | number | null | undefined | false | readonly Part[];

const entities: Readonly<Record<string, string>> = {'&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&#39;'};
/** For text and for quoted attributes. */
export const escapeHtml = (text: string): string => visible(text.replace(/[&<>"']/g, (c) => entities[c]!));

function textOf(part: Part): string {
  if (part instanceof Html) return part.text;
  if (part === null || part === undefined || part === false) return '';
  if (typeof part === 'object') return part.map(textOf).join('');
  return escapeHtml(String(part));
}

export const html = (strings: TemplateStringsArray, ...parts: Part[]): Html =>
  new Html(strings.reduce((text, s, i) => text + textOf(parts[i - 1]) + s));

export interface HtmlColumn {
  title: string;
  numeric?: boolean;
}
/** Wide tables scroll inside themselves: a phone's page does not. */
export const htmlTable = (columns: readonly HtmlColumn[], rows: readonly (readonly Part[])[]): Html => html`
<div class="scroll"><table>
<thead><tr>${columns.map(({title, numeric}) => html`<th${numeric && html` class="n"`}>${title}</th>`)}</tr></thead>
<tbody>${rows.map((row) => html`<tr>${row.map((cell, i) => html`<td${columns[i]?.numeric && html` class="n"`}>${cell}</td>`)}</tr>`)}</tbody>
</table></div>`;
