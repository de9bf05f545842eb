/** What a conversion and an export announce beforehand is what they do. */
import {mkdtempSync, rmSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {progressOn} from '../../src/cli/terminal/progress.js';
import {convertFile} from '../../src/convert/convert.js';
import {exportFile} from '../../src/workflows/export/export.js';
import {fixturePath} from '../cases.js';

const folder = mkdtempSync(join(tmpdir(), 'gpd-phases-'));
afterAll(() => rmSync(folder, {recursive: true, force: true}));
const checkpoint = fixturePath('cifar_resnet20_r2_orepa.pth.tar');

function watched() {
  const planned: string[] = [];
  const begun: string[] = [];
  return {
    planned,
    begun,
    onPlan: (phases: readonly string[]) => void planned.push(...phases),
    onPhase: (phase: string) => void begun.push(phase),
  };
}

const conversions = {
  student: {outputs: {student: join(folder, 'a.onnx')}},
  'student and teacher, as trained too': {
    outputs: {student: join(folder, 'b.onnx'), teacher: join(folder, 'c.onnx'), 'training-teacher': join(folder, 'd.onnx')},
  },
  weights: {outputs: {}, weights: {pth: join(folder, 'e.pth'), safetensors: join(folder, 'f.safetensors')}},
} as const;

test.each(Object.entries(conversions))('a conversion: %s', async (_, options) => {
  const {planned, begun, onPlan, onPhase} = watched();
  await convertFile(checkpoint, {...options, onPlan, onPhase});
  expect(begun).toEqual(planned);
});

test('an export: what is made once is announced once', async () => {
  const {planned, begun, onPlan, onPhase} = watched();
  const formats = ['onnx', 'ort', 'safetensors'] as const;
  await exportFile(checkpoint, {precisions: ['fp32', 'fp16'], formats, output: `${folder}/`, rounds: 0, onPlan, onPhase});
  expect(planned).toEqual(begun.filter((phase) => planned.includes(phase)));
  expect(planned.filter((phase) => phase.startsWith('make'))).toEqual(['make fp32', 'make fp16']);
});

test('the bar is full when nothing remains, and what goes on within a phase does not move it', () => {
  const written: string[] = [];
  const stream = {isTTY: true as const, columns: 80, write: (text: string | Uint8Array) => written.push(String(text)) > 0};
  const progress = progressOn(stream as unknown as NodeJS.WriteStream);
  progress.plan(['read', 'write', 'check', 'time']);
  for (const phase of ['read', 'write', 'candidate 3', 'check']) progress.phase(phase);
  const full = written.map((line) => [...line].filter((character) => character === '━').length);
  expect(full).toEqual([0, 5, 5, 10]);
});
