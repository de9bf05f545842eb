/** How far training is: the line of `rateProgress`, with epoch and loss. */
import {printable} from '../../core/printable.js';
import type {RunProgress} from '../../train/run/progress.js';
import {rateProgress} from './rate-progress.js';

const PHASES: Readonly<Record<RunProgress['phase'], string>> = {
  training: '',
  measuring: ', measuring',
  preparing: ', preparing',
};

export function trainProgress(stream: NodeJS.WriteStream, epochs: number) {
  const line = rateProgress(stream);
  let loss: number | undefined;
  return {
    onProgress(p: RunProgress) {
      loss = p.loss ?? loss;
      const shown = loss === undefined ? '' : `, loss ${loss.toFixed(3)}`;
      const epoch = `, epoch ${Math.min(p.epoch + 1, epochs)} of ${epochs}`;
      line.show(p.done, p.total, p.imagesPerSecond, `${epoch}${shown}${PHASES[p.phase]}`);
    },
    /** What is going on, for who reads a log. */
    onPhase(what: string) {
      if (stream.isTTY) line.end();
      else stream.write(`${what}\n`);
    },
    /** What stays on the screen. */
    onNote(text: string) {
      line.end();
      stream.write(`${printable(text)}\n`);
    },
    end: line.end,
  };
}
