/** One line on stderr that says what is going on, and disappears. Only where a person looks: on a terminal. */
import type {ConvertOptions} from '../../convert/convert.js';

export interface PhaseProgress {
  phase(name: string): void;
  end(): void;
}

const WIDTH = 20;
/** A shorter bar says nothing. */
const LEAST_WIDTH = 5;
const CLEAR = '\r\x1b[K';

/**
 * A bar and a text that replace the line before, on one row: CLEAR reaches no further. Where the terminal is narrow the bar becomes shorter, then it goes,
 * then the text is cut. The last column stays free, where some terminals break the line.
 */
export function progressLine(share: number, text: string, columns: number | undefined): string {
  const room = (columns || 80) - 1;
  const width = Math.min(WIDTH, room - text.length - 2);
  if (width < LEAST_WIDTH) return `${CLEAR}${text.length > room ? `${text.slice(0, Math.max(0, room - 1))}…` : text}`;
  const done = Math.round(Math.min(1, Math.max(0, share)) * width);
  return `${CLEAR}${'━'.repeat(done)}${'─'.repeat(width - done)}  ${text}`;
}
const silent: PhaseProgress = {phase: () => {}, end: () => {}};

/**
 * The line is drawn before each phase and not by a timer: the runtime blocks the event loop while it computes.
 * `phases` is how many there will be.
 */
export function progressOn(stream: NodeJS.WriteStream, phases: number): PhaseProgress {
  if (!stream.isTTY || process.env['TERM'] === 'dumb') return silent;
  let begun = 0;
  return {
    phase(name) {
      stream.write(progressLine(begun++ / phases, name, stream.columns));
    },
    end: () => {
      if (begun > 0) stream.write(CLEAR);
    },
  };
}

export {silent as noProgress};

/** Open, recognise and digest; and for each file: run the training form, fold, write, prove. */
export const phasesOf = ({outputs, weights = {}}: Pick<ConvertOptions, 'outputs' | 'weights'>): number =>
  3 + 4 * (Object.keys(outputs).length + Object.keys(weights).length);
