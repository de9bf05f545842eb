/** What the commands print with --json has the types that docs/json.md shows: the compiler holds each document against its type. */
import {execFile} from 'node:child_process';
import {mkdirSync, mkdtempSync, rmSync, writeFileSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {promisify} from 'node:util';
import {random} from '../../src/core/random.js';
import {encodePpm} from '../../src/data/ppm.js';
import {fixturePath} from '../cases.js';

const root = join(__dirname, '../..');
const program = promisify(execFile);
const folder = mkdtempSync(join(tmpdir(), 'gpd-json-'));
afterAll(() => rmSync(folder, {recursive: true, force: true}));

/** What JSON keeps of a type: no undefined, and null for numbers that are none. */
const JSON_OF = `
type Json<T> = T extends number ? T | null
  : T extends readonly (infer I)[] ? readonly Json<I>[]
  : T extends object ? {[K in keyof T as undefined extends T[K] ? never : K]: Json<T[K]>} &
      {[K in keyof T as undefined extends T[K] ? K : never]?: Json<Exclude<T[K], undefined>>}
  : T;
`;

/** Ten classes of two images of noise. */
function writeImages(): void {
  const {integer} = random('json');
  for (let c = 0; c < 10; c++)
    for (const name of ['0.ppm', '1.ppm']) {
      mkdirSync(join(folder, 'val', `class${c}`), {recursive: true});
      const data = new Uint8Array(3 * 32 * 32).map(() => integer(256));
      writeFileSync(join(folder, 'val', `class${c}`, name), encodePpm({width: 32, height: 32, data}));
    }
}

const checkpoint = fixturePath('cifar_resnet20_r2_orepa.pth.tar');
/** Type, the file that declares it, and the command. */
const documents: readonly (readonly [type: string, module: string, ...args: string[]])[] = [
  ['FileSummary', 'workflows/inspect', 'inspect', checkpoint],
  ['ConversionSummary', 'workflows/summaries/conversion', 'convert', checkpoint, '-o', 'student.onnx'],
  ['FileSummary', 'workflows/inspect', 'inspect', 'student.onnx'],
  ['Evaluation', 'eval/evaluation', 'eval', checkpoint, 'student.onnx', '--data', 'val'],
  ['VerificationResult', 'workflows/verify', 'verify', checkpoint, 'student.onnx', '--layers'],
  ['BenchReport', 'workflows/bench', 'bench', 'student.onnx', '--rounds', '2', '--round-ms', '20'],
  [
    'ExportReport',
    'workflows/export/export',
    'export',
    'student.onnx',
    '--precision',
    'fp32,fp16',
    '--rounds',
    '0',
    '-o',
    'out/',
  ],
];

async function printed(args: readonly string[]): Promise<string> {
  const all = [join(root, 'bin/gpd.js'), ...args, '--json'];
  const {stdout} = await program(process.execPath, all, {cwd: folder, maxBuffer: 1 << 26}).catch((error) => error);
  return stdout;
}

async function complaints(source: string): Promise<string> {
  const compilerOptions = {strict: true, skipLibCheck: true, types: [], module: 'node16', target: 'es2022', noEmit: true};
  writeFileSync(join(folder, 'tsconfig.json'), JSON.stringify({compilerOptions, files: ['documents.mts']}));
  writeFileSync(join(folder, 'documents.mts'), source);
  const compiler = join(root, 'node_modules/typescript/bin/tsc');
  return program(process.execPath, [compiler, '-p', folder, '--pretty', 'false']).then(
    () => '',
    ({stdout}) => stdout,
  );
}

test('each document has its type: nothing is missing, and nothing is undescribed', async () => {
  writeImages();
  mkdirSync(join(folder, 'out'));
  const lines = [JSON_OF];
  for (const [i, [type, module, ...args]] of documents.entries()) {
    const file = JSON.stringify(join(root, 'dist', `${module}.js`));
    lines.push(`export const document${i}: Json<import(${file}).${type}> = ${await printed(args)};`);
  }
  expect(await complaints(lines.join('\n'))).toBe('');
  const spoilt = lines.join('\n').replace('"maxAbs":', '"maximum":').replace('"maxAbs" :', '"maximum":');
  expect(await complaints(spoilt)).toContain('maximum');
}, 120_000);
