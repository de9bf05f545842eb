/** Stored runs of the original, step by step in float64: whatever differs is a mistake and not rounding. */
import {readReplayFolder} from '../../src/cli/replay-folder.js';
import {selectBackend} from '../../src/tfjs/select-backend.js';
import {replay} from '../../src/train/replay.js';
import {expectClose} from '../close.js';
import {describeShared, shared, sharedCases} from '../shared.js';

const runs = sharedCases('goldens/train', /^(A|I|I3)_/);

describeShared('goldens/train', 'stored runs in float64', () => {
  beforeAll(() => selectBackend('onnxruntime', {precision: 'float64'}));

  test.each(runs)('%s', async (name) => {
    const files = readReplayFolder(shared('goldens/train', name));
    const {steps} = await replay(files, {compat: 'reference'});
    const expected = files.trajectory['steps'] as readonly Record<string, number>[];
    expect(steps).toHaveLength(expected.length);
    for (const [i, row] of expected.entries()) {
      for (const [key, value] of Object.entries(row)) {
        const tolerance = {rtol: 1e-6, because: 'what a step reports, and its images, are float32'};
        expectClose([(steps[i] as unknown as Record<string, number>)[key]!], [value], tolerance, `${key} of step ${i}:`);
      }
    }
  });
});
