/**
 * `npm run test:onnx-checker [--large] [MODEL…]`: every form of own students, of networks that PyTorch exports, and of the models that are
 * named, for no target and for each; every file is opened in onnxruntime, and passed to Python's onnx with its full check where that
 * knows the opset. Needs python3-onnx; python3-torchvision for the networks of torchvision. What is missing is said. Exit status 1 if a
 * file is refused by either judge, or an export ends otherwise than by writing or by refusing in words.
 */
import {execFileSync, spawnSync} from 'node:child_process';
import {mkdirSync, mkdtempSync, readdirSync, rmSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {basename, join} from 'node:path';
import sharp from 'sharp';
import {random} from '../src/core/random.js';
import {type TargetName, targetNames} from '../src/export/targets.js';
import {openSession} from '../src/onnx/session.js';

/** ONNX_PYTHON may name another Python for the judge: a newer onnx knows newer opsets. */
const PYTHON = process.env['PYTHON'] ?? 'python3';
const JUDGE = process.env['ONNX_PYTHON'] ?? PYTHON;
const gpd = join(import.meta.dirname, '../bin/gpd.js');
const script = (name: string) => join(import.meta.dirname, '../scripts', name);
const named = process.argv.slice(2).filter((word) => !word.startsWith('--'));
const isLarge = process.argv.includes('--large');

const canImport = (python: string, module: string): boolean => spawnSync(python, ['-c', `import ${module}`]).status === 0;

interface Network {
  name: string;
  path: string;
  flags: readonly string[];
}
interface Outcome {
  written: number;
  refused: Set<string>;
  valid: number;
  newer: number;
  bad: string[];
}

/** Own students, without photographs of their own: noise is calibrated with. */
const own: readonly Network[] = [
  ['cifar_resnet20_plain.pth', []],
  ['mobilenet_plain.pth.tar', []],
  ['resnet18_deployed.pth', []],
].map(([name, flags]) => ({name: String(name), path: join('fixtures/checkpoints', String(name)), flags: flags as string[]}));

async function writeNoise(folder: string, side: number): Promise<string> {
  const {integer} = random('noise');
  const path = join(folder, `noise${side}`);
  for (const name of ['a', 'b']) {
    mkdirSync(join(path, name), {recursive: true});
    for (let i = 0; i < 20; i++) {
      const pixels = Uint8Array.from({length: 3 * side * side}, () => integer(256));
      await sharp(pixels, {raw: {width: side, height: side, channels: 3}})
        .png()
        .toFile(join(path, name, `${i}.png`));
    }
  }
  return path;
}

function torchvision(folder: string): Network[] {
  if (!canImport(PYTHON, 'torchvision')) {
    console.log(`skipped: networks of torchvision (${PYTHON} has none: apt install python3-torchvision)`);
    return [];
  }
  mkdirSync(folder, {recursive: true});
  const args = [script('export-torchvision.py'), folder, ...(isLarge ? ['--large'] : [])];
  console.log(execFileSync(PYTHON, args, {encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore']}).trim());
  return readdirSync(folder).map((name) => ({name, path: join(folder, name), flags: []}));
}

/** Commands for one network: all precisions in both formats; answers and preparation inside; what each target takes. */
const commands: readonly (readonly string[])[] = [
  ['--precision', 'fp32,fp16,int8,int8-dynamic', '--format', 'onnx,ort'],
  ['--precision', 'fp32,fp16,int8', '--embed-preprocessing', '--softmax', '--top-k', '3'],
  ['--precision', 'fp16', '--io', 'float16', '--external-data'],
  ...targetNames.map((target: TargetName) => ['--precision', 'fp32,fp16,int8', '--target', target]),
];

async function check({name, path, flags}: Network, folder: string, python: boolean): Promise<Outcome> {
  const outcome: Outcome = {written: 0, refused: new Set(), valid: 0, newer: 0, bad: []};
  const side = sideOf(path, flags);
  const recipe = ['--mean', '0.5,0.5,0.5', '--std', '0.25,0.25,0.25', '--resize', String(side)];
  const calibrate = ['--calibrate', await writeNoise(folder, side), '--samples', '32', '--int8-ranges', 'minmax'];
  for (const [i, command] of commands.entries()) {
    const out = join(folder, `${basename(name)}.${i}`);
    mkdirSync(out);
    const args = ['export', path, ...flags, ...command, ...recipe, ...calibrate, '--rounds', '0', '-o', `${out}/`, '--json'];
    const {stdout, stderr} = spawnSync(process.execPath, [gpd, ...args], {encoding: 'utf8', maxBuffer: 1 << 26});
    const {forms = [], error} = JSON.parse(stdout || '{}');
    if (error?.code === 'EXPORT_REFUSED' || error?.code === 'OPSET_UNSUPPORTED') outcome.refused.add(error.message);
    else if (error || forms.length === 0) outcome.bad.push(`${command.join(' ')}: ${error?.message ?? stderr}`);
    for (const form of forms) {
      const problem = form.check.problem ?? form.refused ?? form.timingFailed;
      if (form.written) continue;
      // Random weights lose more in float16 than trained ones may: such a form is not written, and says why.
      if (form.refused || /NaN|too far apart/.test(problem))
        outcome.refused.add(problem); // said in words, and nothing is written
      else outcome.bad.push(`${command.join(' ')}: ${form.name}: ${problem}`);
    }
    await judge(
      readdirSync(out).map((file) => join(out, file)),
      outcome,
      python,
    );
    rmSync(out, {recursive: true});
  }
  return outcome;
}

function sideOf(path: string, flags: readonly string[]): number {
  const {stdout} = spawnSync(process.execPath, [gpd, 'inspect', path, ...flags, '--json'], {encoding: 'utf8'});
  const {inputs, network} = JSON.parse(stdout);
  return Number(inputs?.[0].shape[2] ?? network?.imageSize ?? 32);
}

async function judge(files: readonly string[], outcome: Outcome, python: boolean): Promise<void> {
  const models = files.filter((file) => /\.(onnx|ort)$/.test(file));
  for (const file of models) {
    outcome.written++;
    await openSession(file).then(
      (session) => session.close(),
      (error) => outcome.bad.push(`${basename(file)}: ${(error as Error).message}`),
    );
  }
  const onnx = models.filter((file) => file.endsWith('.onnx'));
  if (!python || onnx.length === 0) return;
  const {stdout} = spawnSync(JUDGE, [script('check-onnx.py'), ...onnx], {encoding: 'utf8'});
  for (const line of stdout.trim().split('\n')) {
    const {path, verdict} = JSON.parse(line);
    if (verdict === 'valid') outcome.valid++;
    else if (verdict === 'newer') outcome.newer++;
    else outcome.bad.push(`${basename(path)}: onnx.checker: ${verdict}`);
  }
}

const folder = mkdtempSync(join(tmpdir(), 'gpd-onnx-'));
const python = canImport(JUDGE, 'onnx');
if (!python) console.log(`skipped: onnx.checker (${JUDGE} has no onnx: apt install python3-onnx); files are only opened`);
const networks = [
  ...named.map((path) => ({name: basename(path), path, flags: []})),
  ...(named.length > 0 && !process.argv.includes('--all') ? [] : [...own, ...torchvision(join(folder, 'torchvision'))]),
];
let bad = 0;
try {
  console.log('network                       files  opened   valid   newer  refused');
  for (const network of networks) {
    const outcome = await check(network, folder, python);
    const {written, valid, newer, refused} = outcome;
    const opened = written - outcome.bad.filter((line) => line.includes('onnxruntime')).length;
    const cells = [written, opened, valid, newer, refused.size].map((n, i) => String(n).padStart([7, 8, 8, 8, 9][i]!));
    console.log(`${network.name.padEnd(28)}${cells.join('')}`);
    for (const line of refused) console.log(`    refused: ${line}`);
    for (const line of outcome.bad) console.log(`    BAD: ${line}`);
    bad += outcome.bad.length;
  }
} finally {
  rmSync(folder, {recursive: true, force: true});
}
console.log(bad === 0 ? 'every file that was written is opened, and valid as far as was checked' : `${bad} faults`);
process.exitCode = bad === 0 ? 0 : 1;
