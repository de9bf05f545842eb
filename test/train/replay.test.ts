/** Stored runs of the original, step by step in float64: whatever differs is a mistake and not rounding. */
import {execFileSync, spawnSync} from 'node:child_process';
import {mkdtempSync, readFileSync, rmSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {selectBackend} from '../../src/tfjs/backend/select-backend.js';
import {replay} from '../../src/train/replay/replay.js';
import {readReplayFolder} from '../../src/workflows/replay.js';
import {expectClose} from '../close.js';
import {describeShared, shared, sharedCases} from '../shared.js';

const runs = sharedCases('goldens/train', /^(A|I|I3)_/);

describeShared('goldens/train', 'stored runs in float64', () => {
  beforeAll(() => selectBackend('onnxruntime', {precision: 'float64'}));

  test.each(runs)('%s', async (name) => {
    const files = readReplayFolder(shared('goldens/train', name));
    const {steps} = await replay(files, {compat: 'reference'});
    expectSteps(steps, files.trajectory['steps']);
  });

  // a process of its own: what computes in float64 there takes hold of names that jest gives its modules otherwise
  test.each(runs.filter((name) => name.startsWith('I_')))("%s on TensorFlow.js's cpu code", (name) => {
    const folder = mkdtempSync(join(tmpdir(), 'gpd-replay-'));
    const [stored, trace] = [shared('goldens/train', name), join(folder, 'trace.json')];
    const command = ['bin/gpd.js', 'train', '--replay', stored, '--trace', trace, '--compat', 'reference', '--backend', 'cpu'];
    execFileSync(process.execPath, command);
    const {backend, precision, steps} = JSON.parse(readFileSync(trace, 'utf8'));
    rmSync(folder, {recursive: true});
    expect([backend, precision]).toEqual(['cpu', 'float64']);
    expectSteps(steps, readReplayFolder(stored).trajectory['steps']);
  });
});

test('a folder of a stranger is not waited for', () => {
  const folder = mkdtempSync(join(tmpdir(), 'gpd-replay-'));
  execFileSync('mkfifo', [join(folder, 'trajectory.json')]);
  const args = ['bin/gpd.js', 'train', '--replay', folder, '--trace', join(folder, 'trace.json')];
  const {status, stderr} = spawnSync(process.execPath, args, {encoding: 'utf8', timeout: 60_000, killSignal: 'SIGKILL'});
  rmSync(folder, {recursive: true});
  expect([status, stderr]).toEqual([1, expect.stringContaining('Code: FILE_UNREADABLE')]);
});

function expectSteps(steps: readonly object[], stored: unknown): void {
  const expected = stored as readonly Record<string, number>[];
  expect(steps).toHaveLength(expected.length);
  for (const [i, row] of expected.entries()) {
    for (const [key, value] of Object.entries(row)) {
      const tolerance = {rtol: 1e-6, because: 'what a step reports, and its images, are float32'};
      expectClose([(steps[i] as Record<string, number>)[key]!], [value], tolerance, `${key} of step ${i}:`);
    }
  }
}
