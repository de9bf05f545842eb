/** What latencies say, on made-up numbers; and a real bench of small models, whose times are not judged. */
import {mkdtempSync, rmSync, writeFileSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {random} from '../../src/core/random.js';
import {bench} from '../../src/eval/bench.js';
import {summariseLatencies, verdictOf} from '../../src/eval/bench-statistics.js';
import {gemmPeak} from '../../src/eval/gemm.js';
import {subjectOfFile} from '../../src/eval/subject.js';
import {modelBytes} from '../../src/onnx/encode.js';
import {macsOf} from '../../src/onnx/macs.js';
import {tinyNetwork} from './networks.js';

const {normal} = random('bench');
/** Rounds of latencies around a centre; all of a round move together. */
const rounds = (centre: number, noise: number, drift: readonly number[]) =>
  drift.map((d) => Array.from({length: 20}, () => centre * d * (1 + noise * normal())));
const steady = Array.from({length: 10}, () => 1);
const drifting = Array.from({length: 10}, (_, i) => 1 + i / 5);

describe('latencies', () => {
  test('percentiles are over all runs, the spread over the rounds', () => {
    const summary = summariseLatencies([
      [1, 2, 3],
      [3, 4, 5],
    ]);
    expect(summary).toMatchObject({runs: 6, min: 1, p50: 3, mean: 3});
    expect(summary.spreadPercent).toBeCloseTo((100 * 1) / 3, 10); // medians 2 and 4: quartiles 2.5 and 3.5
  });
  test('a clear difference is told, also when the machine drifts', () => {
    const {faster, ratio} = verdictOf(rounds(10, 0.02, drifting), rounds(12, 0.02, drifting));
    expect(faster).toBe('a');
    expect(ratio).toBeCloseTo(1.2, 1);
    expect(verdictOf(rounds(12, 0.02, steady), rounds(10, 0.02, steady)).faster).toBe('b');
  });
  test('noise larger than the difference: no verdict', () => {
    const noisy = Array.from({length: 10}, () => 1 + 0.3 * Math.abs(normal()));
    const other = Array.from({length: 10}, () => 1 + 0.3 * Math.abs(normal()));
    const {faster, differencePercent, spreadPercent} = verdictOf(rounds(10, 0, noisy), rounds(10.1, 0, other));
    expect(spreadPercent).toBeGreaterThan(differencePercent);
    expect(faster).toBeUndefined();
  });
  test('the same model twice: no verdict', () => {
    const verdicts = Array.from({length: 200}, () => verdictOf(rounds(10, 0.1, steady), rounds(10, 0.1, steady)));
    expect(verdicts.filter((v) => v.faster)).toEqual([]);
  });
});

test('the peak counts its own products', () => {
  const {model, macs} = gemmPeak('cpu');
  expect(macsOf(model.graph)).toEqual({macs: macs / 1024, integers: 0, unknown: 0}); // a row is an image there
});

describe('real processes', () => {
  const folder = mkdtempSync(join(tmpdir(), 'gpd-bench-test-'));
  const childProgram = join(__dirname, '../../dist/eval/bench-child.js'); // compiled before the tests
  const model = (name: string, options = {}) => {
    const path = join(folder, name);
    writeFileSync(path, modelBytes(tinyNetwork(options)));
    return subjectOfFile(path);
  };
  afterAll(() => rmSync(folder, {recursive: true}));

  test('every model with every number of threads and images, and a fixed batch as it is', async () => {
    const models = [model('a.onnx'), model('fixed.onnx', {batch: 2})];
    const options = {models, threads: [1], batches: [1, 4], rounds: 2, roundMs: 5, warmUpMs: 5, childProgram};
    const {rows, peaks, verdicts, complete, failures} = await bench(options);
    expect(complete).toBe(true);
    expect(failures).toEqual([]);
    expect(rows.map(({model: name, batch}) => [name, batch])).toEqual([
      ['a.onnx', 1],
      ['a.onnx', 4],
      ['fixed.onnx', 2],
    ]);
    expect(peaks).toHaveLength(1);
    expect(verdicts).toEqual([]); // nothing was measured under the same conditions
    for (const row of rows) {
      expect(row.runs).toBeGreaterThanOrEqual(6);
      expect(row.rounds).toHaveLength(2);
      expect(row.gflops / peaks[0]!.gflops).toBeCloseTo(row.peakShare / 100, 10);
      expect(row.peakBytes).toBeGreaterThan(row.baseBytes);
    }
  });

  test('a model that the runtime refuses is a failure, and the others are measured', async () => {
    const broken = model('broken.onnx');
    writeFileSync(broken.path, 'nothing');
    const models = [model('b.onnx'), broken];
    const {rows, failures} = await bench({models, threads: [1], rounds: 1, roundMs: 1, warmUpMs: 1, childProgram});
    expect(rows.map((r) => r.model)).toEqual(['b.onnx']);
    expect(failures).toEqual([
      {model: 'broken.onnx', threads: 1, batch: 1, reason: expect.stringContaining('refused the model')},
    ]);
  });
});
