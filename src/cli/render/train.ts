/** What a person reads when training has ended. */

import {bytes, plural, tiny} from '../../core/format.js';
import {printable} from '../../core/printable.js';
import type {TrainSummary} from '../../workflows/train.js';
import type {Style} from '../terminal/style.js';
import {tableLines} from '../terminal/table.js';
import {renderWarnings} from './warnings.js';

const SHOWN = 5;
const right = {align: 'right'} as const;
const percent = (value: number | undefined): string => (value === undefined ? '–' : value.toFixed(2));

export function renderTrain(summary: TrainSummary, style: Style): string[] {
  const {out, complete, backend, warnings, unreadable, epochs, best, student} = summary;
  const shown = epochs.slice(-SHOWN);
  const rows = shown.map(({epoch, validation: v, train, imagesPerSecond}) => [
    String(epoch + 1),
    ...[v?.student, v?.teacher, v?.emaStudent].map((accuracy) => percent(accuracy?.top1)),
    (train['total_loss'] ?? Number.NaN).toFixed(4),
    imagesPerSecond.toFixed(imagesPerSecond < 10 ? 2 : 0),
  ]);
  const header = ['epoch', 'student', 'dynamic teacher', 'student, average', 'loss', 'images/s'];
  return [
    `${style.bold(out)}  ${plural(epochs.length, 'epoch')} on ${backend.name} (${backend.reason})`,
    ...(complete ? [] : [style.warn('interrupted: repeat the command with --resume to go on')]),
    ...renderWarnings(warnings, style),
    ...renderUnreadable(unreadable, style),
    ...(shown.length > 0
      ? [
          '',
          ...tableLines(
            [header, ...rows],
            header.map(() => right),
          ),
          '',
        ]
      : []),
    ...(best ? [`best  epoch ${best.epoch + 1}, the ${best.weights === 'ema' ? 'moving average' : 'weights themselves'}`] : []),
    ...(student ? renderStudent(student, style) : []),
  ];
}

const LISTED = 3;
function renderUnreadable({count, images, list}: TrainSummary['unreadable'], style: Style): string[] {
  if (count === 0) return [];
  const shown = images
    .slice(0, LISTED)
    .map(({path, reason}) => `  ${printable(path)}: ${printable(reason.split('\n', 1)[0]!)}`);
  const rest = count > shown.length ? [`  and ${plural(count - shown.length, 'other')}: ${printable(list)}`] : [];
  return [
    style.warn(`${plural(count, 'image')} could not be read and ${count === 1 ? 'was' : 'were'} left out`),
    ...shown,
    ...rest,
  ];
}

function renderStudent(s: NonNullable<TrainSummary['student']>, style: Style): string[] {
  const accuracy =
    s.before === undefined || s.after === undefined
      ? ''
      : `; top-1 ${percent(s.before)} % before, ${percent(s.after)} % after, the same class on ${percent(s.agreement)} %`;
  return [`${style.good('converted')}  ${s.onnx}, ${bytes(s.bytes)}, logits within ${tiny(s.maxRelative)}${accuracy}`];
}
