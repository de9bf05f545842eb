/** How far a long run is, how fast, and when it will be done: a line that is redrawn on a terminal, a line now and then elsewhere. */
import {count, duration} from '../../core/format.js';
import {progressLine} from './progress.js';

export interface RateProgress {
  show(done: number, total: number, imagesPerSecond: number, note?: string): void;
  end(): void;
}

const CLEAR = '\r\x1b[K';
/** For logs: often enough to see that it lives. */
const LOG_EVERY_MS = 30_000;
const REDRAW_EVERY_MS = 100;

/** 2 h 05 min; 3 min 20 s; 12 s. */
export function eta(ms: number): string {
  if (!Number.isFinite(ms)) return '?';
  const s = Math.round(ms / 1000);
  if (s < 60) return `${s} s`;
  const [h, min] = [Math.floor(s / 3600), Math.floor(s / 60) % 60];
  return h > 0 ? `${h} h ${String(min).padStart(2, '0')} min` : `${min} min ${String(s % 60).padStart(2, '0')} s`;
}

export function rateProgress(
  stream: NodeJS.WriteStream,
  now: () => number = () => performance.now(),
  what = 'images',
): RateProgress {
  const isTerminal = stream.isTTY === true && process.env['TERM'] !== 'dumb';
  let last = isTerminal ? Number.NEGATIVE_INFINITY : now();
  return {
    show(done, total, imagesPerSecond, note = '') {
      if (now() - last < (isTerminal ? REDRAW_EVERY_MS : LOG_EVERY_MS)) return;
      last = now();
      // nothing is known of the speed before the first step, and nothing is said of it
      const isMoving = imagesPerSecond > 0 && Number.isFinite(imagesPerSecond);
      const rate = isMoving && what === 'images' ? `, ${rateText(imagesPerSecond)}` : '';
      const rest = isMoving ? `, ${eta((1000 * (total - done)) / imagesPerSecond)} left` : '';
      const text = `${count(done)} of ${count(total)} ${what}${rate}${rest}${note}`;
      stream.write(isTerminal ? progressLine(done / total, text, stream.columns) : `${text}\n`);
    },
    end: () => {
      if (isTerminal && last > Number.NEGATIVE_INFINITY) stream.write(CLEAR);
    },
  };
}

const rateText = (rate: number): string =>
  rate < 1 ? `${duration(1000 / rate)} an image` : `${rate.toFixed(rate < 10 ? 1 : 0)}/s`;
