/** The check of a form runs the bytes that are delivered: what the runtime refuses is not checked, whatever its emulation says. */
import {writeFileSync} from 'node:fs';
import {join} from 'node:path';
import {subjectOfModel} from '../../src/eval/subject.js';
import {precisions} from '../../src/export/precisions.js';
import {modelBytes} from '../../src/onnx/encode.js';
import {parseModel} from '../../src/onnx/parse-text.js';
import {openSession} from '../../src/onnx/session.js';
import {checkForm, randomImages} from '../../src/workflows/export/check.js';
import {inFolder, run} from '../commands/program.js';
import {tinyNetwork} from '../eval/networks.js';

const subject = (model = tinyNetwork()) => subjectOfModel('tiny', 'student', model);

test('a file that onnxruntime refuses fails the check, though the emulation agrees', async () => {
  const file = {...subject(), open: () => openSession(modelBytes(mixedTypes()))};
  const check = await checkForm(subject(), {subject: subject(), file}, precisions.fp16, randomImages(8));
  expect(check).toMatchObject({ok: false, problem: expect.stringContaining('onnxruntime refused the model')});
});

/** Clip of float16 with bounds of float32. */
const mixedTypes = () =>
  parseModel(`graph broken (%input: f32[N, 3, 8, 8]) -> (%logits)
    %half: f16[N, 3, 8, 8] = Cast(%input) {to = 10}
    %low = f32[] {0}
    %clip: f16[N, 3, 8, 8] = Clip(%half, %low)
    %logits: f32[N, 10] = Cast(%clip) {to = 1}`);

test('a file that computes something else fails, though the emulation agrees; both are measured', async () => {
  const file = subject(tinyNetwork({seed: 'another'}));
  const check = await checkForm(subject(), {subject: subject(), file}, precisions.fp16, randomImages(8));
  expect([check.ok, check.relative < 1e-6]).toEqual([false, true]);
  expect(check.file!.relative).toBeGreaterThan(0.02);
  const same = await checkForm(subject(), {subject: subject(), file: subject()}, precisions.fp16, randomImages(8));
  expect(same).toMatchObject({ok: true, problem: null, file: {sameTop1: 32}});
});

test('probabilities and best classes are compared with the logits', async () => {
  const withAnswers = (scale: number) =>
    parseModel(`graph answers (%input: f32[N, 3, 8, 8]) -> (%logits, %probabilities)
      %w = f32[10, 3] ~1
      %pool = GlobalAveragePool(%input)
      %flat = Flatten(%pool)
      %logits = Gemm(%flat, %w) {transB = 1}
      %k = f32[] {${scale}}
      %scaled = Mul(%logits, %k)
      %probabilities = Softmax(%scaled) {axis = 1}`);
  const check = (scale: number) => {
    const form = subject(withAnswers(scale));
    return checkForm(form, {subject: form, file: form}, precisions.fp32, randomImages(8));
  };
  expect(await check(1)).toMatchObject({ok: true});
  expect(await check(1.1)).toMatchObject({ok: false, problem: expect.stringContaining('probabilities')});
});

test('a form that runs eight images but not sixteen is not written, and says where it failed', () =>
  inFolder(async (folder) => {
    const model = parseModel(`graph eight (%input: f32[N, 3, 8, 8]) -> (%logits)
      %w = f32[10, 3] ~1
      %table = f32[8, 1] ~2
      %zero = i64[] {0}
      %one = i64[] {1}
      %shape: i64[4] = Shape(%input)
      %n: i64[] = Gather(%shape, %zero) {axis = 0}
      %places: i64? = Range(%zero, %n, %one)
      %rows: f32? = Gather(%table, %places) {axis = 0}
      %pool = GlobalAveragePool(%input)
      %flat = Flatten(%pool)
      %product = Gemm(%flat, %w) {transB = 1}
      %logits: f32[N, 10] = Add(%product, %rows)`);
    writeFileSync(join(folder, 'eight.onnx'), modelBytes(model));
    const {status, stdout} = await run(['export', 'eight.onnx', '--rounds', '1', '-o', 'out.onnx'], {cwd: folder});
    expect([status, stdout]).toEqual([1, expect.stringContaining('could not be timed with 16 images at once')]);
    expect(stdout).toContain('not written  out.onnx');
  }));
