/** One line on stderr that says what is going on, and disappears. Only where a person looks: on a terminal. */
import type {ConvertOptions} from '../convert/convert.js';

export interface Progress {
  phase(name: string): void;
  end(): void;
}

const WIDTH = 20;
const CLEAR = '\r\x1b[K';
const silent: Progress = {phase: () => {}, end: () => {}};

/**
 * The line is drawn before each phase and not by a timer: the runtime blocks the event loop while it computes.
 * `phases` is how many there will be.
 */
export function progressOn(stream: NodeJS.WriteStream, phases: number): Progress {
  if (!stream.isTTY || process.env['TERM'] === 'dumb') return silent;
  let begun = 0;
  return {
    phase(name) {
      const done = Math.min(WIDTH, Math.round((begun++ / phases) * WIDTH));
      stream.write(`${CLEAR}${'━'.repeat(done)}${'─'.repeat(WIDTH - done)}  ${name}`);
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
