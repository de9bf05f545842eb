/** One line on stderr that says what is going on, and disappears. Only where a person looks: on a terminal. */
/** Draws phases as they are announced; its functions fit `onPlan` and `onPhase`. */
export interface PhaseProgress {
  plan(phases: readonly string[]): void;
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
const silent: PhaseProgress = {plan: () => {}, phase: () => {}, end: () => {}};

/**
 * The line is drawn before each phase and not by a timer: the runtime blocks the event loop while it computes. What goes on within a
 * phase is shown, and moves the bar no further.
 */
export function progressOn(stream: Pick<NodeJS.WriteStream, 'isTTY' | 'columns' | 'write'>): PhaseProgress {
  if (!stream.isTTY || process.env['TERM'] === 'dumb') return silent;
  let planned: readonly string[] = [];
  let [begun, drawn] = [0, false];
  return {
    plan(phases) {
      planned = phases;
    },
    phase(name) {
      if (name === planned[begun]) begun++;
      drawn = true;
      stream.write(progressLine(Math.max(0, begun - 1) / Math.max(1, planned.length), name, stream.columns));
    },
    end: () => {
      if (drawn) stream.write(CLEAR);
    },
  };
}

export {silent as noProgress};
