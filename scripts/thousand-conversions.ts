/**
 * Does a process that converts again and again grow? `node scripts/run.js scripts/thousand-conversions.ts [--count 1000]` converts a small
 * checkpoint in one process through the library and fits a line through its resident memory.
 */
import {mkdtempSync, rmSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {parseArgs} from 'node:util';
import {setFlagsFromString} from 'node:v8';
import {runInNewContext} from 'node:vm';
import {convertFile} from '../src/index.js';

const {values} = parseArgs({options: {count: {type: 'string', default: '1000'}}});
const count = Number(values.count);
setFlagsFromString('--expose-gc');
const collectGarbage = runInNewContext('gc') as () => void;

/** What V8 knows of, beside what the process has: where the two part, the allocator of onnxruntime keeps it. */
const report = (conversions: number) => {
  const parts = Object.entries(process.memoryUsage()).map(([part, bytes]) => `${part} ${(bytes / 2 ** 20).toFixed(1)}`);
  process.stderr.write(`${conversions}: ${parts.join(', ')} MiB\n`);
};

const folder = mkdtempSync(join(tmpdir(), 'gpd-thousand-'));
const samples: {conversions: number; mebibytes: number}[] = [];
for (let i = 1; i <= count; i++) {
  const outputs = {student: join(folder, 'out.onnx')};
  await convertFile('fixtures/checkpoints/cifar_resnet20_r2_orepa.pth.tar', {outputs, force: true});
  if (i % 10 !== 0) continue;
  collectGarbage();
  samples.push({conversions: i, mebibytes: process.memoryUsage.rss() / 2 ** 20});
  if (i % (count / 20) === 0) report(i);
}
rmSync(folder, {recursive: true});

/**
 * The first fifth fills caches and pools. The allocator keeps and returns memory in a saw-tooth, so that neighbouring samples are alike: each
 * block of a twentieth is one point of the line, and the line's error is that of the blocks.
 */
const mean = (numbers: readonly number[]) => numbers.reduce((a, b) => a + b, 0) / numbers.length;
const blocks = Array.from({length: 16}, (_, i) => {
  const inside = samples.filter(({conversions}) => Math.ceil((20 * conversions) / count) === i + 5);
  return {conversions: mean(inside.map((s) => s.conversions)), mebibytes: mean(inside.map((s) => s.mebibytes))};
});
const [x, y] = [mean(blocks.map((s) => s.conversions)), mean(blocks.map((s) => s.mebibytes))];
const sxx = blocks.reduce((n, s) => n + (s.conversions - x) ** 2, 0);
const slope = blocks.reduce((n, s) => n + (s.conversions - x) * (s.mebibytes - y), 0) / sxx;
const residuals = blocks.map((s) => s.mebibytes - y - slope * (s.conversions - x));
const error = Math.sqrt(residuals.reduce((n, r) => n + r * r, 0) / (blocks.length - 2) / sxx);

const at = (part: number) => samples[Math.floor(part * (samples.length - 1))]!.mebibytes.toFixed(1);
process.stdout.write(
  `${count} conversions: ${at(0)} MiB after ten, ${at(0.25)} at a quarter, ${at(0.5)} at half, ${at(1)} at the end; ` +
    `${(1000 * slope).toFixed(2)} ± ${(1000 * error).toFixed(2)} MiB per thousand\n`,
);
