/** The line that says how far training is: on one row of the terminal, and without a speed that is not known yet. */
import {progressOn} from '../../src/cli/terminal/progress.js';
import {trainProgress} from '../../src/cli/terminal/train-progress.js';
import type {RunProgress} from '../../src/train/run/progress.js';

const terminal = (columns: number | undefined) => {
  const written: string[] = [];
  const stream = {isTTY: true, columns, write: (text: string) => written.push(text)} as unknown as NodeJS.WriteStream;
  return {stream, written};
};
const shown = (columns: number | undefined, progress: Partial<RunProgress>): string => {
  const {stream, written} = terminal(columns);
  const all = {phase: 'training', loss: undefined, epoch: 0, total: 1_281_167_00, done: 0, imagesPerSecond: 0} as const;
  trainProgress(stream, 100).onProgress({...all, ...progress});
  return written.join('').replace('\r\x1b[K', '');
};
const long = {done: 12_345_678, imagesPerSecond: 0.37, epoch: 98, loss: 1234.5678, phase: 'measuring'} as const;

test.each([20, 40, 60, 70, 80, 93, 120, undefined])('%s columns hold the longest line', (columns) => {
  const line = shown(columns, long);
  expect([...line].length).toBeLessThan(columns ?? 80);
  expect(line).not.toMatch(/[\r\n]/);
});

test('where there is room there is a bar', () => {
  expect(shown(200, long)).toMatch(
    /^[━─]{20} {2}12,345,678 of 128,116,700 images, 2.70 s an image, .* left, epoch 99 of 100, loss/,
  );
  expect(shown(90, {done: 5, total: 10, imagesPerSecond: 100, loss: 1})).toMatch(
    /^[━─]{20} {2}5 of 10 images, 100\/s, 0 s left/,
  );
  expect(shown(70, {done: 5, total: 10, imagesPerSecond: 100, loss: 1})).toMatch(
    /^[━─]{5,19} {2}5 of 10 images, 100\/s, 0 s left/,
  );
});

test('before the first step there is no speed and no time left', () => {
  const line = shown(80, {phase: 'preparing', total: 40});
  expect(line).toMatch(/0 of 40 images, epoch 1 of 100, preparing$/);
  expect(shown(80, {imagesPerSecond: Number.NaN, total: 40})).not.toMatch(/NaN|Infinity|\?|left/);
});

test('a phase with a long name stays on its row', () => {
  const {stream, written} = terminal(40);
  progressOn(stream).phase(`writing ${'a'.repeat(100)}.onnx`);
  expect([...written.join('').replace('\r\x1b[K', '')].length).toBeLessThan(40);
});
