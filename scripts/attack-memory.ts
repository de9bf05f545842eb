/**
 * What the attacks of `fuzz/attacks.ts` cost: `node scripts/run.js scripts/attack-memory.ts`. Each file is read by a process of its own
 * (this program again), whose largest resident memory is compared with that of a process that reads a small honest file of the
 * same kind. Allowed: 64 MiB + twice the size of the file.
 */
import {execFileSync} from 'node:child_process';
import {mkdtempSync, readFileSync, rmSync, writeFileSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {type AttackKind, attacks} from '../fuzz/attacks.js';
import {openCheckpoint} from '../src/checkpoint/open.js';
import {tableLines} from '../src/cli/terminal/table.js';
import {fileSource} from '../src/core/bytes.js';
import {GpdError} from '../src/core/error.js';
import {indexTar} from '../src/data/tar.js';
import {modelBytes} from '../src/onnx/encode.js';
import {parseModel} from '../src/onnx/parse-text.js';
import {inspectFile} from '../src/workflows/inspect.js';

const MIB = 2 ** 20;
const ALLOWED = 64 * MIB;

const readers: Record<AttackKind, (path: string) => Promise<void> | void> = {
  async checkpoint(path) {
    openCheckpoint(fileSource(path)).close();
    await inspectFile(path, {ema: false, text: false});
  },
  async model(path) {
    await inspectFile(path, {ema: false, text: false});
  },
  tar: (path) => void indexTar(fileSource(path)),
};

const [mode, kind, path] = process.argv.slice(2);
if (mode === 'read') {
  let outcome = 'read';
  try {
    await readers[kind as AttackKind](path!);
  } catch (error) {
    if (!(error instanceof GpdError)) throw error;
    outcome = error.code;
  }
  process.stdout.write(JSON.stringify({outcome, peak: peakOfThisProcess()}));
} else measureAll();

/** Linux's own count for this program: `maxRSS` begins with what the parent had when it forked. */
function peakOfThisProcess(): number {
  const status = readFileSync('/proc/self/status', 'utf8');
  return Number(/^VmHWM:\s+(\d+) kB$/m.exec(status)![1]) * 1024;
}

function measure(kind: AttackKind, path: string): {outcome: string; peak: number} {
  return JSON.parse(execFileSync(process.execPath, [process.argv[1]!, 'read', kind, path], {encoding: 'utf8'}));
}

function measureAll(): void {
  const folder = mkdtempSync(join(tmpdir(), 'gpd-attack-'));
  const honest: Record<AttackKind, string> = {
    checkpoint: 'fixtures/checkpoints/cifar_resnet20_plain.pth',
    model: join(folder, 'honest.onnx'),
    tar: join(folder, 'honest.tar'),
  };
  writeFileSync(honest.model, modelBytes(parseModel('graph g (%x: f32[1]) -> (%y)\n  %y = Relu(%x)')));
  writeFileSync(honest.tar, new Uint8Array(1024));
  const idle = Object.fromEntries(Object.entries(honest).map(([kind, file]) => [kind, measure(kind as AttackKind, file).peak]));
  const rows = attacks.map(({kind, name, make}) => {
    const file = join(folder, 'attack');
    writeFileSync(file, make());
    const size = readFileSync(file).length;
    const {outcome, peak} = measure(kind, file);
    const over = peak - idle[kind]!;
    return {kind, name, size, outcome, over, within: over <= ALLOWED + 2 * size};
  });
  rmSync(folder, {recursive: true});
  const mib = (bytes: number) => (bytes / MIB).toFixed(1);
  const cells = rows.map((r) => [
    r.name,
    mib(r.size),
    r.outcome,
    mib(r.over),
    mib(ALLOWED + 2 * r.size),
    r.within ? '' : 'TOO MUCH',
  ]);
  const right = {align: 'right'} as const;
  const head = ['file', 'MiB', 'outcome', 'beyond idle, MiB', 'allowed', ''];
  process.stdout.write(`${tableLines([head, ...cells], [{}, right, {}, right, right, {}]).join('\n')}\n`);
  process.stdout.write(
    `idle: ${Object.entries(idle)
      .map(([kind, peak]) => `${kind} ${mib(peak)} MiB`)
      .join(', ')}\n`,
  );
  process.exitCode = rows.every(({within}) => within) ? 0 : 1;
}
