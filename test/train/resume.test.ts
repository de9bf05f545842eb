/** Runs that are ended from outside and go on: the same weights to the last bit. `npm run test:resume` does it at 20 moments. */
import {existsSync, readdirSync, readFileSync} from 'node:fs';
import {join} from 'node:path';
import {SmallRuns} from './killing.js';

const runs = new SmallRuns();
afterAll(runs.remove);

const metricsOf = (name: string) =>
  readFileSync(join(runs.path(name), 'metrics.jsonl'), 'utf8')
    .trim()
    .split('\n')
    .map((line) => {
      const {seconds: _, imagesPerSecond: __, ...row} = JSON.parse(line);
      return row;
    });

jest.setTimeout(600_000); // a guard against hanging: every process starts an engine

test('kill -9 at two moments, then to the end: the weights, the average and the metrics of a run without a break', async () => {
  const whole = await runs.finish(runs.start('whole', 'onnxruntime'));
  runs.withStrategiesOf('whole', 'killed');
  const moment = () => ({signs: 2 + Math.floor(Math.random() * 8), ms: Math.random() * 60});
  const moments = [moment(), moment()];
  const killed = await runs.killed('killed', moments, 'onnxruntime');
  expect({moments, ...killed}).toEqual({moments, ...whole});
  expect(metricsOf('killed')).toEqual(metricsOf('whole'));
  expect(readdirSync(runs.path('killed')).filter((name) => name.endsWith('.tmp') || name === 'step.pth.tar')).toEqual([]);
});

test('two processes, one folder: the second is told of the first, and the first ends as if it had been alone', async () => {
  const first = runs.start('shared', 'cpu', '--epochs=1', '--resume');
  const firstEnds = runs.finish(first);
  await new Promise((done) => first.once('message', done)); // it is preparing
  const second = runs.finish(runs.start('shared', 'cpu', '--epochs=1', '--resume'));
  await expect(second).rejects.toThrow(new RegExp(`process ${first.pid} on .*, is training into it`));
  const alone = await runs.finish(runs.start('alone', 'cpu', '--epochs=1'));
  expect(await firstEnds).toEqual(alone);
  expect(metricsOf('shared')).toEqual(metricsOf('alone'));
  expect(existsSync(join(runs.path('shared'), 'run.lock'))).toBe(false);
});

test('Ctrl-C saves after the step under way, and the run goes on from there', async () => {
  const settings = ['cpu', '--epochs=2', '--lr-steps=1', '--mixup=0.8', '--cutmix=1', '--mixup-prob=0.5', '--drop-last=true'];
  const whole = await runs.finish(runs.start('whole-cpu', ...settings));
  const child = runs.start('interrupted', ...settings);
  let seen = 0;
  child.on('message', () => {
    if (++seen === 3) child.kill('SIGINT');
  });
  expect(await runs.finish(child)).toMatchObject({complete: false, epochs: 0});
  expect(existsSync(join(runs.path('interrupted'), 'step.pth.tar'))).toBe(true);
  expect(await runs.finish(runs.start('interrupted', ...settings, '--resume'))).toEqual(whole);
});

test('what a run holds is not overwritten, and not continued with other settings; it may become longer', async () => {
  const settings = ['cpu', '--mixup=0.8', '--cutmix=1', '--mixup-prob=0.5', '--drop-last=true', '--lr-steps=1'];
  await expect(runs.finish(runs.start('interrupted', ...settings))).rejects.toThrow('holds a run already');
  const other = runs.start('interrupted', ...settings, '--lr=0.1', '--resume');
  await expect(runs.finish(other)).rejects.toThrow('was begun with another lr');
  const longer = runs.start('interrupted', ...settings, '--epochs=3', '--resume');
  expect(await runs.finish(longer)).toMatchObject({complete: true, epochs: 3});
});

test('a loss that is no number ends the run and says where, after three other orders of the images where that was asked for', async () => {
  const settings = ['cpu', '--epochs=1', '--lr=1e30', '--eval-first=true'];
  const stopped = runs.finish(runs.start('diverging', ...settings));
  await expect(stopped).rejects.toThrow(/epoch 0, step 1: the loss is NaN|code: 'TRAINING_DIVERGED'/);
  await expect(stopped).rejects.toThrow('--on-nan rollback goes back by itself');
  const rolled = runs.finish(runs.start('rolling', ...settings, '--on-nan=rollback'));
  await expect(rolled).rejects.toThrow('after 3 other orders of the images');
  await expect(rolled).rejects.not.toThrow('--on-nan rollback goes back'); // it did
  const log = readFileSync(join(runs.path('rolling'), 'log.txt'), 'utf8');
  expect(log.match(/went back to the beginning of epoch 0, order [123]/g)).toHaveLength(3);
});
