/** The report of a training run: which charts it has, and that it is a page of its own. */
import {renderTraining, type TrainingEpoch} from '../../src/eval/report/training-page.js';

const accuracy = (top1: number) => ({top1, top5: 90, loss: 1});
const epoch = (i: number, more: Partial<TrainingEpoch> = {}): TrainingEpoch => ({
  ...{epoch: i, lr: 0.1 / (i + 1), imagesPerSecond: 300 + i, seconds: 10},
  train: {ce_tiny: 2 - i / 10, ce_expanded: 1.9 - i / 10, kd_loss: 3, total_loss: 5, acc1_tiny: 30 + i, acc1_expanded: 33 + i},
  validation: {
    student: accuracy(40 + i),
    teacher: accuracy(42 + i),
    emaStudent: accuracy(20 + i),
    emaTeacher: accuracy(21 + i),
  },
  ...more,
});
const context = {
  title: 'A <run>',
  losses: [{name: 'dkd', title: 'DKD'}],
  command: 'gpd train',
  environment: [['date', 'today']],
  configuration: 'arch: x',
} as const;
const titles = (page: string) => [...page.matchAll(/<figcaption>([^<]*)<\/figcaption>/g)].map((match) => match[1]);

test('curves of student, dynamic teacher and averages, the gap, losses, rate and throughput', async () => {
  const page = await renderTraining(
    [0, 1, 2].map((i) => epoch(i)),
    context,
  );
  expect(titles(page)).toEqual([
    'Top-1 on validation images, percent',
    'The gap: points of top-1 that the dynamic teacher is ahead',
    'Cross-entropy',
    'Distillation losses, training',
    'Top-1 on training images as they were augmented, percent',
    'Learning rate',
    'Images a second',
  ]);
  expect(page).toContain('<h1>A &lt;run&gt;</h1>');
  expect(page).toContain('student, moving average');
  expect(page).not.toMatch(/<script|https?:\/\/(?!www\.w3\.org)/);
});

test('a baseline without validation has what it has', async () => {
  const train = {ce_expanded: 2, kd_loss: 0, total_loss: 2, acc1_tiny: 30, acc1_expanded: 30};
  const {validation: _, ...bare} = epoch(0, {train});
  const page = await renderTraining([bare], context);
  expect(titles(page)).toEqual([
    'Cross-entropy',
    'Top-1 on training images as they were augmented, percent',
    'Learning rate',
    'Images a second',
  ]);
});
