/**
 * Checkpoints as people have them (`cases/checkpoints` of the shared folder), each converted to ONNX and run: the logits beside them were
 * computed in float64 by what wrote them. A row is a file and what must come of it; what is refused says what it is and what to do.
 */
import {mkdtempSync, rmSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {openCheckpoint} from '../../src/checkpoint/open.js';
import {type ConversionReport, type ConvertOptions, convertFile} from '../../src/convert/convert.js';
import {fileSource} from '../../src/core/bytes.js';
import {type ErrorCode, GpdError} from '../../src/core/error.js';
import type {StateDict} from '../../src/core/tensor.js';
import {expectLogits} from '../close.js';
import {describeShared, shared} from '../shared.js';
import {logitsOf} from './run-model.js';

const CASES = 'cases/checkpoints';

/** The stem of the `.io.safetensors` whose logits must come out; a file without one must convert and be proven. */
type Logits = '00_plain' | 'ema' | 'c03_cifar_stem' | 'c15e_option_b' | 'proven';
interface Row {
  file: string;
  flags?: Omit<ConvertOptions, 'outputs'>;
  expect: Logits | {code: ErrorCode; says: RegExp};
  /** Where it is not 1e-5: the weights in the file are rounded. */
  bound?: number;
  /** In the warnings of the conversion. */
  warns?: RegExp;
}

const same = (...files: string[]): Row[] => files.map((file) => ({file, expect: '00_plain'}));

/** State dicts under other keys, objects beside them, containers. */
const keys: Row[] = [
  ...same('00_plain.pth', 'a01_ddp_module.pth', 'b03_torch_dtype.pth', 'b04c_python_rng.pth'),
  ...same('b11b_scheduler_object.pth', 'b11d_gradscaler.pth', 'b15_legacy.pth', 'b15_legacy_proto5.pth', 'b15_proto5.pth'),
  ...same('b16_parameters.pth', 'b17b_views.pth', 'b19_no_num_batches.pth', 'e07b_bytes_short.pth', 'g12_class_to_idx.pth'),
  ...same('a14_ema_module.pth', 'e16_empty_state_dict_then_model.pth', 'e17_extra_scalar_in_state_dict.pth'),
  {file: 'a14_ema_module.pth', flags: {ema: true}, expect: 'ema'},
  {file: 'b18_f16.pth', expect: '00_plain', bound: 2e-3},
  {file: 'b18_bf16.pth', expect: '00_plain', bound: 2e-2},
];

/** Prefixes and wrappers inside a state dict. */
const names: Row[] = [];

/** Heads, stems, shortcuts, families. */
const shapes: Row[] = [];

describeShared(CASES, 'checkpoints of other programs', () => {
  let folder = '';
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'gpd-cases-'));
  });
  afterAll(() => rmSync(folder, {recursive: true, force: true}));

  const student = () => join(folder, 'student.onnx');
  const inputAndLogits = (logits: Logits): StateDict =>
    openCheckpoint(fileSource(shared(CASES, `${logits}.io.safetensors`))).stateDict;

  /** At the size of the images beside it. */
  function convert({file, flags, expect: wanted}: Row): Promise<ConversionReport> {
    const known = typeof wanted === 'string' && wanted !== 'proven';
    const imageSize = known ? inputAndLogits(wanted).get('input')!.shape[2] : 64;
    return convertFile(shared(CASES, file), {imageSize, ...flags, outputs: {student: student()}, force: true});
  }

  async function expectLogitsOf(logits: Exclude<Logits, 'proven'>, bound: number): Promise<void> {
    const known = inputAndLogits(logits);
    const {data} = await logitsOf(student(), known.get('input')!.read());
    const expected = known.get('logits_f64')!.read().data as Float64Array;
    expectLogits(data, expected, bound, 'float32 layers and one rounding of each weight, against float64');
  }

  const shown = ({file, flags = {}}: Row) =>
    [file, ...Object.entries(flags).map(([name, value]) => `${name} ${String(value)}`)].join(', ');
  test.each([...keys, ...names, ...shapes].map((row) => [shown(row), row] as const))('%s', async (_, row) => {
    const {expect: wanted, bound = 1e-5, warns} = row;
    if (typeof wanted === 'object') {
      const error = await convert(row).catch((e: unknown) => e);
      if (!(error instanceof GpdError)) throw error instanceof Error ? error : new Error('it was converted');
      expect([error.code, `${error.message}\n${error.hint}`]).toEqual([wanted.code, expect.stringMatching(wanted.says)]);
      return;
    }
    const {warnings, outputs} = await convert(row);
    if (warns) expect(warnings.join('\n')).toMatch(warns);
    expect(outputs[0]!.proof!.relative).toBeLessThan(1e-5); // float32 on both sides
    if (wanted !== 'proven') await expectLogitsOf(wanted, bound);
  });
});
