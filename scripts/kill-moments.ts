/**
 * kill -9 at random moments: `node scripts/run.js scripts/kill-moments.ts [--command convert|export] [--count 200] [--seed 1]`.
 * Half of the moments are times, half are changes on the disk, of which a write is done by half. After each the output must be
 * absent, the old file, or the new one, byte for byte; and the next run must work. Needs `npm run build`.
 */
import {existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {join, resolve} from 'node:path';
import {parseArgs} from 'node:util';
import {random} from '../src/core/random.js';
import {countChanges, ended, gpd, killAt, launch, readCount} from '../test/security/disturbed.js';

const {values} = parseArgs({
  options: {
    command: {type: 'string', default: 'convert'},
    count: {type: 'string', default: '200'},
    seed: {type: 'string', default: '1'},
  },
});
const checkpoint = resolve('fixtures/checkpoints/cifar_resnet20_r2_orepa.pth.tar');
const cwd = mkdtempSync(join(tmpdir(), 'gpd-kill-'));
const output = join(cwd, 'out.onnx');

const input = values.command === 'export' ? join(cwd, 'student.onnx') : checkpoint;
const argv =
  values.command === 'export'
    ? ['export', input, '--precision', 'fp16', '--output', output, '--force']
    : ['convert', checkpoint, '--output', output, '--force'];

async function mustWork(args: readonly string[], before?: string): Promise<void> {
  const {code, stderr} = await gpd(args, {cwd, ...(before !== undefined && {before})});
  if (code !== 0) throw new Error(`${args.join(' ')} ended with ${code}: ${stderr}`);
}

if (values.command === 'export') await mustWork(['convert', checkpoint, '--output', input]);
const counted = join(cwd, 'count');
const start = performance.now();
await mustWork(argv, countChanges(counted));
const duration = performance.now() - start;
const changes = readCount(counted);
const whole = readFileSync(output);
const old = Buffer.from('an older file');

const dice = random(`kill ${values.seed}`);
const tally = {killed: 0, absent: 0, old: 0, whole: 0, corrupt: 0, 'next run failed': 0};

function inspect(hadOld: boolean): void {
  const found = existsSync(output) ? readFileSync(output) : undefined;
  if (!found && !hadOld) tally.absent++;
  else if (found?.equals(old)) tally.old++;
  else if (found?.equals(whole)) tally.whole++;
  else tally.corrupt++;
}

for (let i = 0; i < Number(values.count); i++) {
  const hadOld = dice.integer(2) === 0;
  rmSync(output, {force: true});
  if (hadOld) writeFileSync(output, old);
  const byChange = i % 2 === 0;
  const child = launch(argv, {cwd, ...(byChange && {before: killAt(dice.integer(changes))})});
  const timer = byChange ? undefined : setTimeout(() => child.kill('SIGKILL'), dice.uniform() * duration);
  const {signal} = await ended(child);
  clearTimeout(timer);
  if (signal === 'SIGKILL') tally.killed++;
  inspect(hadOld);
  const next = await gpd(argv, {cwd});
  if (next.code !== 0 || !readFileSync(output).equals(whole)) tally['next run failed']++;
}
const left = readdirSync(cwd).filter((name) => name.startsWith('.gpd-')).length;
rmSync(cwd, {recursive: true});
process.stdout.write(`${values.command}, ${changes} changes a run: ${JSON.stringify(tally)}, hidden folders left ${left}\n`);
process.exitCode = tally.corrupt + tally['next run failed'] > 0 ? 1 : 0;
