/** What was noticed in the images of a run, as notices of its report. */
import {type DataWarning, type WarningOfSet, warningText} from '../../data/warnings.js';
import {type Html, html} from './html.js';

export const dataNotices = (all: readonly (DataWarning | WarningOfSet)[]): Html =>
  html`${all.map((warning) => html`<p class="notice">${warningText(warning)}</p>`)}`;
