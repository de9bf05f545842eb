/** Types of the package that a strict program can use: every d.ts that they need is checked, and only Node's types are there. */
import {spawnSync} from 'node:child_process';
import {mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {join} from 'node:path';

const root = join(__dirname, '../..');
const PROGRAM = `
import {bench, convertFile, type Evaluation, evaluate, exportModel, GpdError, inspect, quantiseModel, train, verify} from 'gpd-toolkit';
const {signal} = new AbortController();
const {outputs} = await convertFile('x', {outputs: {student: 's.onnx'}, signal, onPhase: (phase: string) => console.log(phase)});
const relative: number | undefined = outputs[0]?.proof?.relative;
const {evaluation}: {evaluation: Evaluation} = await evaluate(['a'], {data: 'b', onProgress: ({done}) => console.log(done), signal});
const top1: number | null | undefined = evaluation.models[0]?.top1;
const {best} = await train({arch: 'cifar-resnet20', epochs: 3}, {signal, onProgress: ({loss}) => console.log(loss)});
const summary = await inspect('a');
if (summary.kind === 'onnx') console.log(summary.operators);
const {ok} = await verify('a', 'b', {samples: 4});
const {rows} = await bench(['a'], {rounds: 3});
const {forms} = await exportModel('a', {precisions: ['fp16'], formats: ['onnx']});
console.log(relative, top1, best, ok, rows, forms, quantiseModel, GpdError);
// @ts-expect-error there is no such precision
await exportModel('a', {precisions: ['fp12']});
// @ts-expect-error there is no such option
await train({epoch: 3});
`;

test('a strict program compiles without skipLibCheck, with the types of Node alone', () => {
  const folder = mkdtempSync(join(tmpdir(), 'gpd-strict-'));
  try {
    mkdirSync(join(folder, 'node_modules/@types'), {recursive: true});
    const link = (to: string, name: string) => symlinkSync(join(root, to), join(folder, 'node_modules', name));
    link('.', 'gpd-toolkit');
    for (const name of ['@types/node', 'undici-types']) link(join('node_modules', name), name);
    writeFileSync(join(folder, 'package.json'), '{"type": "module"}');
    writeFileSync(join(folder, 'a.ts'), PROGRAM);
    const compilerOptions = {
      ...{strict: true, exactOptionalPropertyTypes: true, noUncheckedIndexedAccess: true, skipLibCheck: false},
      ...{types: ['node'], module: 'node16', target: 'es2022', noEmit: true},
    };
    writeFileSync(join(folder, 'tsconfig.json'), JSON.stringify({compilerOptions, files: ['a.ts']}));
    const compiler = join(root, 'node_modules/typescript/bin/tsc');
    const {stdout} = spawnSync(process.execPath, [compiler, '-p', folder, '--pretty', 'false'], {encoding: 'utf8'});
    expect(stdout).toBe('');
  } finally {
    rmSync(folder, {recursive: true, force: true});
  }
});
