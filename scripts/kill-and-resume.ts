/**
 * `npm run test:resume [MOMENTS] [SEED]`: a run is killed with SIGKILL at random moments, goes on each time, and must end with the very bits of
 * a run without a break. Each moment is a run of its own; every fourth run is killed twice. About 15 seconds a moment.
 */
import {random} from '../src/core/random.js';
import {SmallRuns} from '../test/train/killing.js';

const [count = 20, seed = Date.now() % 1e6] = process.argv.slice(2).map(Number);
const r = random(seed);
const runs = new SmallRuns();
const backend = 'onnxruntime';
try {
  console.log(`${count} moments, seed ${seed}`);
  const whole = await runs.finish(runs.start('whole', backend));
  let failed = 0;
  for (let i = 0; i < count; i++) {
    const moment = () => ({signs: 1 + r.integer(24), ms: Math.round(r.uniform() * 80)});
    const moments = i % 4 === 3 ? [moment(), moment()] : [moment()];
    runs.withStrategiesOf('whole', `killed${i}`);
    const killed = await runs.killed(`killed${i}`, moments, backend);
    const isSame = killed.digest === whole!.digest;
    if (!isSame) failed++;
    console.log(`${i + 1}: killed at ${JSON.stringify(moments)}: ${isSame ? 'the same bits' : 'OTHER BITS'}`);
  }
  console.log(failed === 0 ? `all ${count} the same` : `${failed} of ${count} differ`);
  process.exitCode = failed === 0 ? 0 : 1;
} finally {
  runs.remove();
}
