/**
 * THE table of GPD: which tensors a layer has in a checkpoint, along which dimensions they are widened, and by which power
 * of the ratio r the student and the dynamic teacher scale them. Everything else follows from it: the shapes in the file, the
 * student's slice (the leading block), the initial teacher (tile along the wide dimensions, divide by r where the student multiplies).
 */
import {SEPARABLE_EXPANSION} from './algebra.js';
import type {BatchNormModule, ConvModule, LayerNormModule, LinearModule, MaskModule, Module} from './modules.js';

export interface Row {
  /** State-dict key after the module's name. */
  readonly leaf: string;
  /** In the student. */
  readonly shape: readonly number[];
  /** Which of these dimensions are r times as long in the checkpoint. */
  readonly wide: readonly boolean[];
  /** The student uses slice · r^student; the teacher uses tensor · r^teacher. Default 0. */
  readonly student?: 0 | 1;
  readonly teacher?: 0 | -1 | -2;
  /** Who reads it. Default: both. */
  readonly only?: 'student' | 'teacher' | 'none';
  /** May be absent. */
  readonly optional?: boolean;
}

export interface StorageForm {
  /** Ratio r of teacher width to student width; 1 for a network that GPD did not widen. */
  readonly ratio: number;
  /** Whether this convolution is stored as OREPA branches. */
  readonly orepa: boolean;
}

const isGrouped = (m: ConvModule) => m.groups > 1;

/** A grouped convolution keeps its inputs per group: it is widened by more groups, and its activations are not averaged. */
function convRows(m: ConvModule): Row[] {
  const grouped = isGrouped(m);
  const wide = [m.widensOut, m.widensIn && !grouped, false, false];
  const student = grouped || !m.widensOut ? 0 : 1;
  return [
    {leaf: 'weight', shape: [m.out, m.in / m.groups, ...m.kernel], wide, student},
    {leaf: 'bias', shape: [m.out], wide: [m.widensOut], student, teacher: grouped ? -1 : 0, optional: !m.bias},
  ];
}

function orepaRows(m: ConvModule): Row[] {
  const grouped = isGrouped(m);
  const perGroup = m.in / m.groups;
  const [out, input, inputPerGroup] = [m.widensOut, m.widensIn, m.widensIn && !grouped];
  const student = grouped || !out ? 0 : 1;
  const branch = (leaf: string, ...kernel: number[]): Row => ({
    leaf: `weight_orepa_${leaf}`,
    shape: [m.out, perGroup, ...kernel],
    wide: [out, inputPerGroup, false, false],
    student,
  });
  // These two act between the inputs alone: their sum over inputs is r times as long in the checkpoint.
  const square = (leaf: string): Row => ({
    leaf,
    shape: [m.in, perGroup, 1, 1],
    wide: [input, inputPerGroup, false, false],
    student: grouped || !input ? 0 : 1,
  });
  const expanded = SEPARABLE_EXPANSION * m.in;
  return [
    branch('origin', 3, 3),
    {leaf: 'bias_orepa_origin', shape: [m.out], wide: [out], student, teacher: grouped ? -1 : 0},
    branch('avg_conv', 1, 1),
    branch('pfir_conv', 1, 1),
    branch('1x1', 3, 3),
    square('weight_orepa_1x1_kxk_idconv1'),
    branch('1x1_kxk_conv2', 3, 3),
    {leaf: 'weight_orepa_gconv_dw', shape: [expanded, 1, 3, 3], wide: [input, false, false, false]},
    {
      leaf: 'weight_orepa_gconv_pw',
      shape: [m.out, expanded / m.groups, 1, 1],
      wide: [out, inputPerGroup, false, false],
      student,
    },
    {leaf: 'vector', shape: [6, m.out], wide: [false, out]},
    {leaf: 'weight_orepa_avg_avg', shape: [3, 3], wide: [false, false]},
    square('id_tensor'),
    {leaf: 'weight_orepa_prior', shape: [m.out, 3, 3], wide: [out, false, false]},
  ];
}

function linearRows(m: LinearModule): Row[] {
  const student = m.widensOut ? 1 : 0;
  const area = m.pointwise ? [1, 1] : [];
  return [
    {leaf: 'weight', shape: [m.out, m.in, ...area], wide: [m.widensOut, m.widensIn, ...area.map(() => false)], student},
    ...(m.bias === false ? [] : [{leaf: 'bias', shape: [m.out], wide: [m.widensOut], student} as const]),
  ];
}

/** The teacher's activations are the student's divided by r, so its statistics shrink by r and its variances by r². */
function batchNormRows(m: BatchNormModule, ratio: number): Row[] {
  const row = (leaf: string, teacher: 0 | -1 | -2, only?: Row['only']): Row => ({
    leaf,
    shape: [m.channels],
    wide: [true],
    teacher,
    ...(only && {only}),
  });
  const widened = ratio > 1;
  return [
    row('weight', -1),
    row('bias', -1),
    row('running_mean', -1, widened ? 'teacher' : undefined),
    row('running_var', -2, widened ? 'teacher' : undefined),
    {leaf: 'num_batches_tracked', shape: [], wide: [], only: 'none', optional: true},
    ...(widened ? [row('tiny_running_mean', 0, 'student'), row('tiny_running_var', 0, 'student')] : []),
  ];
}

const layerNormRows = (m: LayerNormModule): Row[] =>
  ['weight', 'bias'].map((leaf): Row => ({leaf, shape: [m.channels], wide: [true], teacher: -1}));

const maskRows = (m: MaskModule): Row[] => [
  {leaf: 'att_mask', shape: [m.heads, m.tokens, m.tokens], wide: [false, false, false]},
];

/** The rows of one layer, in the order in which PyTorch lists them. */
export function storedTensors(m: Module, form: StorageForm): Row[] {
  switch (m.kind) {
    case 'conv':
      return form.orepa ? orepaRows(m) : convRows(m);
    case 'linear':
      return linearRows(m);
    case 'batchNorm':
      return batchNormRows(m, form.ratio);
    case 'layerNorm':
      return layerNormRows(m);
    case 'mask':
      return maskRows(m);
  }
}

export const storedShape = (row: Row, ratio: number): number[] => row.shape.map((n, d) => (row.wide[d] ? n * ratio : n));
export const keyOf = (m: Module, row: Row): string => `${m.name}.${row.leaf}`;

export interface StoredEntry {
  key: string;
  shape: number[];
  dtype: 'float32' | 'int64';
}

/** The whole state dict of a network, by name and shape, in PyTorch's order. `orepa` says which convolutions are branches. */
export function storedEntries(modules: readonly Module[], ratio: number, orepa: (m: ConvModule) => boolean): StoredEntry[] {
  return modules.flatMap((m) => {
    const isOrepa = m.kind === 'conv' && orepa(m);
    const rows = storedTensors(m, {ratio, orepa: isOrepa}).filter((row) => !row.optional || row.only === 'none');
    return rows.map((row) => ({
      key: keyOf(m, row),
      shape: storedShape(row, ratio),
      dtype: row.leaf === 'num_batches_tracked' ? ('int64' as const) : ('float32' as const),
    }));
  });
}
