/** How the learning rate of a run will go, in words, and what about that may surprise. */
import type {TrainOptions} from './options.js';
import {resolveMoments} from './schedules.js';

export interface ScheduleInWords {
  /** One line. */
  readonly line: string;
  /** Steps that do nothing in a run of this length. */
  readonly warnings: readonly string[];
}

const epochsOf = (n: number): string => (n === 1 ? '1 epoch' : `${n} epochs`);

const joined = (items: readonly (string | number)[]): string =>
  items.length < 2 ? `${items[0] ?? ''}` : `${items.slice(0, -1).join(', ')} and ${items.at(-1)}`;

/** For a run's first lines, its log and the comment in its configuration. */
export const describeSchedule = (o: TrainOptions): ScheduleInWords =>
  o.schedule === 'cosine' ? {line: cosine(o), warnings: []} : steps(o);

function steps(o: TrainOptions): ScheduleInWords {
  const {milestones, leftOut} = resolveMoments(o['lr-steps'], o.epochs);
  const [reached, beyond] = [milestones.filter((m) => m < o.epochs), milestones.filter((m) => m >= o.epochs)];
  const warmup = o['warmup-epochs'] > 0 ? `, reached in ${epochsOf(o['warmup-epochs'])} of warm-up` : '';
  const falls =
    reached.length > 0 ? `, divided by 10 after ${joined(reached)} of ${epochsOf(o.epochs)}` : ` for ${epochsOf(o.epochs)}`;
  const never = o['lr-steps'].length > 0 && reached.length === 0 ? '; the rate never falls' : '';
  return {
    line: `learning rate ${o.lr}${warmup}${falls}`,
    warnings: [
      ...(beyond.length > 0 ? [`lr-steps ${joined(beyond)}: not reached in ${epochsOf(o.epochs)}${never}`] : []),
      ...(leftOut.length > 0 && o.epochs > 1
        ? [
            `lr-steps ${joined(leftOut)}: left out, no epoch of its own among ${epochsOf(o.epochs)}${beyond.length > 0 ? '' : never}`,
          ]
        : []),
    ],
  };
}

function cosine(o: TrainOptions): string {
  const {lr, epochs} = o;
  const [warmup, cooldown] = [o['warmup-epochs'], o['cooldown-epochs']];
  const rise = warmup > 0 ? `, after a rise from ${o['warmup-lr']} in ${epochsOf(warmup)}` : '';
  const rest = cooldown > 0 ? `, then ${cooldown} more at that rate` : '';
  return `learning rate: a cosine from ${lr} to ${o['min-lr']} over ${epochsOf(epochs - cooldown)}${rise}${rest}`;
}
