/** Images worth looking at, as thumbnails inside the page: where models part, and where an answer cost most. */
import type {AnswerSummary, Evaluation, ModelSummary, WorstPairSummary, WorstSummary} from '../evaluation.js';
import {type Html, html} from './html.js';

/** JPEG bytes by index of the image. An image that could not be read again is absent. */
export type Thumbnails = ReadonlyMap<number, Uint8Array>;

export const THUMBNAIL_SIDE = 160;

/** Which images a report shows. */
export function shownImages(e: Evaluation): number[] {
  const pairs = comparisonsShown(e).flatMap(({worst}) => worst.map(({index}) => index));
  return [...new Set([...pairs, ...e.models.at(-1)!.worst.map(({index}) => index)])];
}

/** Against the baseline alone: the others are in `--json`. */
const comparisonsShown = ({comparisons, baseline}: Evaluation) =>
  comparisons.filter(({a, b, worst}) => (a === baseline || b === baseline) && worst.length > 0);

const base64 = (bytes: Uint8Array): string => Buffer.from(bytes).toString('base64');
const picture = (path: string, jpeg: Uint8Array | undefined): Html =>
  jpeg
    ? html`<img alt="${path}" title="${path}" src="data:image/jpeg;base64,${base64(jpeg)}">`
    : html`<p class="soft">${path}</p>`;

const answer = (title: string, {class: name, confidence}: AnswerSummary, truth: string | null): Html =>
  html`${title}<span class="${truth === null ? '' : name === truth ? 'good' : 'bad'}">${name}</span> ${confidence.toFixed(0)}\u00a0%<br>`;
const truth = (name: string | null): Html => html`<strong>${name ?? 'no label'}</strong><br>`;

export function differing(e: Evaluation, thumbnails: Thumbnails): Html[] {
  return comparisonsShown(e).map(
    ({a, b, worst}) =>
      html`<h2>Where ${a} and ${b} differ most</h2><div class="images">${worst.map((w) => pairFigure(w, thumbnails))}</div>`,
  );
}
const pairFigure = (
  w: WorstPairSummary,
  thumbnails: Thumbnails,
): Html => html`<figure>${picture(w.path, thumbnails.get(w.index))}
${truth(w.class)}${answer('first: ', w.a, w.class)}${answer('second: ', w.b, w.class)}<span class="soft">|Δ| ${w.difference >= 0.01 ? w.difference.toPrecision(2) : w.difference.toExponential(1)}</span></figure>`;

export function worstOf({name, worst}: ModelSummary, thumbnails: Thumbnails): Html {
  if (worst.length === 0) return html``;
  return html`<h2>Most confident mistakes of ${name}</h2><div class="images">${worst.map((w) => worstFigure(w, thumbnails))}</div>`;
}
const worstFigure = (w: WorstSummary, thumbnails: Thumbnails): Html => html`<figure>${picture(w.path, thumbnails.get(w.index))}
${truth(w.class)}${answer('', w.answer, w.class)}<span class="soft">loss ${w.loss.toFixed(2)}</span></figure>`;
