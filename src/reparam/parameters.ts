/**
 * GPD, the layer between a network and its numbers: the parameters of one layer as the student or the dynamic teacher uses
 * them, as expressions over stored tensors. The only place that knows both the table and the algebra.
 */
import type {Shape} from '../core/tensor.js';
import {type BatchNormStatistics, type Kernel, mergeOrepaBranches, type Scaled} from './algebra.js';
import type {BatchNormModule, ConvModule, LayerNormModule, LinearModule, MaskModule, Module} from './modules.js';
import {keyOf, type Row, storedShape, storedTensors} from './stored-tensors.js';
import type {TensorOps} from './tensor-ops.js';

/** `student` is also the role of a network that GPD never touched: its ratio is 1. */
export type Role = 'student' | 'teacher';

/** How a network is stored. */
export interface GpdForm {
  readonly ratio: number;
  /** Convolutions stored as OREPA branches, by module name. */
  readonly orepa: ReadonlySet<string>;
  /** Optional tensors that are present, by key. */
  readonly present: (key: string) => boolean;
  /**
   * Batch norms whose student statistics were never filled, by module name: the mean over the whole `tiny_running_mean` is
   * exactly zero, and then the original copies `running_*` over `tiny_running_*` before it uses them.
   */
  readonly unfilledStatistics: ReadonlySet<string>;
}

/** One use of a stored tensor: its leading block, which counts times a factor. */
export interface TensorUse {
  readonly key: string;
  readonly stored: Shape;
  readonly leading: Shape;
  readonly factor: number;
}

export interface LayerParameters<T> {
  readonly role: Role;
  /** How much wider than the student's the activations are: r for the teacher, 1 for the student. */
  readonly widening: number;
  conv(m: ConvModule): Kernel<T>;
  linear(m: LinearModule): Kernel<T>;
  batchNorm(m: BatchNormModule): BatchNormStatistics<T>;
  layerNorm(m: LayerNormModule): {gamma: T; beta: T; eps: number};
  mask(m: MaskModule): T;
}

export const isOptionalAbsent = (form: GpdForm, m: Module, row: Row): boolean =>
  row.optional === true && !form.present(keyOf(m, row));

export const storageFormOf = (form: GpdForm, m: Module) => ({ratio: form.ratio, orepa: form.orepa.has(m.name)});

/** Which stored tensor the role takes for a leaf, and how. Undefined when it is optional and absent. */
export function tensorUse(form: GpdForm, role: Role, m: Module, leaf: string): TensorUse | undefined {
  const row = storedTensors(m, storageFormOf(form, m)).find((r) => r.leaf === leaf);
  if (!row || isOptionalAbsent(form, m, row)) return undefined;
  const stored = storedShape(row, form.ratio);
  const leading = role === 'student' ? row.shape : stored;
  return {key: keyOf(m, row), stored, leading, factor: form.ratio ** (row[role] ?? 0)};
}

/** `load` gives the leading block of a tensor; the factor is applied here. */
export function parametersOf<T>(ops: TensorOps<T>, form: GpdForm, role: Role, load: (use: TensorUse) => T): LayerParameters<T> {
  const scaled = ({tensor, factor}: Scaled<T>): T => {
    if (factor === 1) return tensor;
    // 1/r need not be a number that the tensors' dtype holds; r is.
    return factor > 1 ? ops.mul(tensor, ops.scalar(factor)) : ops.div(tensor, ops.scalar(Math.round(1 / factor)));
  };
  const widening = role === 'teacher' ? form.ratio : 1;
  const widen = (n: number, wide: boolean) => (wide ? n * widening : n);
  const optional = (m: Module, leaf: string): Scaled<T> | undefined => {
    const use = tensorUse(form, role, m, leaf);
    return use && {tensor: load(use), factor: use.factor};
  };
  const part = (m: Module, leaf: string): Scaled<T> => {
    const found = optional(m, leaf);
    if (found === undefined) throw new Error(`${m.name} has no '${leaf}'`);
    return found;
  };
  const take = (m: Module, leaf: string): T => scaled(part(m, leaf));
  const takeOptional = (m: Module, leaf: string): T | undefined => {
    const found = optional(m, leaf);
    return found && scaled(found);
  };
  const withBias = (weight: T, bias: T | undefined): Kernel<T> => (bias === undefined ? {weight} : {weight, bias});

  return {
    role,
    widening,
    conv(m) {
      if (!form.orepa.has(m.name)) return withBias(take(m, 'weight'), takeOptional(m, 'bias'));
      const weight = mergeOrepaBranches(
        ops,
        {
          origin: part(m, 'weight_orepa_origin'),
          avgConv: part(m, 'weight_orepa_avg_conv'),
          avgKernel: part(m, 'weight_orepa_avg_avg'),
          priorConv: part(m, 'weight_orepa_pfir_conv'),
          prior: part(m, 'weight_orepa_prior'),
          identityConv: part(m, 'weight_orepa_1x1_kxk_idconv1'),
          identity: part(m, 'id_tensor'),
          sequentialConv: part(m, 'weight_orepa_1x1_kxk_conv2'),
          plain: part(m, 'weight_orepa_1x1'),
          separableDepthwise: part(m, 'weight_orepa_gconv_dw'),
          separablePointwise: part(m, 'weight_orepa_gconv_pw'),
          scales: part(m, 'vector'),
        },
        {out: widen(m.out, m.widensOut), in: widen(m.in, m.widensIn), groups: widen(m.groups, m.groups > 1), kernel: m.kernel},
      );
      return {weight, bias: take(m, 'bias_orepa_origin')};
    },
    linear(m) {
      const weight = take(m, 'weight');
      const matrix = m.pointwise ? ops.reshape(weight, [widen(m.out, m.widensOut), widen(m.in, m.widensIn)]) : weight;
      return withBias(matrix, m.bias === false ? undefined : take(m, 'bias'));
    },
    batchNorm(m) {
      const own = role === 'student' && form.ratio > 1;
      const statistics = own && !form.unfilledStatistics.has(m.name) ? 'tiny_running' : 'running';
      return {
        gamma: take(m, 'weight'),
        beta: take(m, 'bias'),
        mean: take(m, `${statistics}_mean`),
        variance: take(m, `${statistics}_var`),
        eps: m.eps / widening ** 2,
      };
    },
    layerNorm: (m) => ({gamma: take(m, 'weight'), beta: take(m, 'bias'), eps: m.eps / widening ** 2}),
    mask: (m) => take(m, 'att_mask'),
  };
}
