/**
 * `gpd export` as a function: one file in, forms and one plain result out. Each form is made, written where nobody sees it, checked
 * against the float32 student, evaluated and timed; it appears under its name only if its check and its gates hold.
 */

import {existsSync, mkdirSync, readdirSync, rmdirSync} from 'node:fs';
import {GpdError} from '../../core/error.js';
import {checkOutput, checkOutputFolder, Staging} from '../../core/output.js';
import {enterPhase, phasesIn} from '../../core/phases.js';
import type {Recipe} from '../../data/recipe.js';
import {type WarningOfSet, warningsOf} from '../../data/warnings.js';
import {chooseRecipe} from '../../eval/choose-recipe.js';
import type {Evaluation} from '../../eval/evaluation.js';
import {type Subject, subjectOfModel} from '../../eval/subject.js';
import type {FormatName, ModelFormat, OwnModel, WeightsFormat, WriteOptions} from '../../export/formats.js';
import {formats, ownModelOf} from '../../export/formats.js';
import {type FormOptions, makeModel, prepareStudent} from '../../export/make.js';
import type {Precise, PrecisionContext} from '../../export/precision.js';
import {type PrecisionName, precisions} from '../../export/precisions.js';
import type {ResizerName} from '../../export/preprocess/resize.js';
import {targets} from '../../export/targets.js';
import {inHalf, renamed} from '../../export/weights.js';
import {readGpd} from '../../onnx/gpd-metadata.js';
import type {Model} from '../../onnx/graph.js';
import {type CalibrationOf, calibrationOf} from './calibration.js';
import {
  checkForm,
  checkPhotographs,
  checkWeightsForm,
  type FormCheck,
  farFromFloat32,
  imagesFor,
  randomImages,
} from './check.js';
import {type MeasuredForm, measureForms} from './measure.js';
import {type ExportFileOptions, type ExportSettings, exportSettings} from './options.js';
import {type PlannedForm, planForms} from './plan.js';
import {type ExportSource, openSource} from './source.js';
import type {StagedForm} from './staged-form.js';
import {subjectsOfForm} from './subject.js';

/** One form: what was made, and what became of it. Numbers are null where nothing was measured. */
export interface FormReport extends MeasuredForm {
  name: string;
  precision: PrecisionName;
  format: FormatName;
  path: string;
  files: readonly string[];
  bytes: number;
  nodes: number | null;
  opset: number | null;
  /** What a person should know. */
  notes: readonly string[];
  /** What a person should not overlook, though nothing was asked about it. */
  warnings: readonly string[];
  /** Why it does not deserve its name. */
  refused: string | null;
  details: object;
  check: FormCheck;
  /** It lies under its name: its check and its gates hold, and it ran wherever it was asked to. */
  written: boolean;
}
/** The result of an export: what `gpd export --json` prints. */
export interface ExportReport {
  input: {
    path: string;
    arch: string | null;
    bytes: number;
    nodes: number;
    converted: boolean;
    without: readonly string[];
    /** What else must be known of it: weights left out, outputs chosen, answers that are not repeatable. */
    warnings: readonly string[];
    top1: number | null;
  } & Pick<MeasuredForm, 'latencyMs' | 'imagesPerSecond' | 'timingFailed'>;
  calibration: string;
  /** What was left out of the calibration's and the check's images, or looks wrong in them. */
  warnings: readonly WarningOfSet[];
  forms: FormReport[];
  gates: Evaluation['gates'];
  /** With `--check-data`. */
  evaluation: Evaluation | null;
  /** Every form holds what was asked of it. */
  ok: boolean;
}

/** Nothing appears under a form's name that does not hold. Throws GpdError, or the reason of the signal. */
export async function exportFile(path: string, given: ExportFileOptions = {}): Promise<ExportReport> {
  const options = exportSettings(given);
  const forms = planForms(path, options, options.output);
  for (const form of forms) refuseExisting(form, path, options.force);
  options.onPlan?.(phasesOf(forms, options));
  await enterPhase(options, 'read');
  const source = await openSource(path, {
    ...{...options, onPlan: undefined}, // a conversion's phases stand within this one
    opset: options.opset ?? (options.target && targets[options.target].opset),
  });
  let run: ExportRun | undefined;
  try {
    const {recipe} = chooseRecipe([source.subject], options.recipe, options.overrides);
    run = new ExportRun(source, options, recipe, await calibrationOf(source.subject, recipe, options));
    for (const form of forms) await run.make(form);
    return await run.finish(path);
  } finally {
    run?.discard();
    source.close();
  }
}

/** Forms with the same key have the same model. */
const modelKey = ({precision, format}: PlannedForm): string => (ownModelOf(format) ? `${precision} ${format}` : precision);

/** What an export will announce, in order. */
function phasesOf(forms: readonly PlannedForm[], {data, rounds}: ExportSettings): string[] {
  const isFirst = (form: PlannedForm, i: number) =>
    forms.findIndex((other) => formats[other.format].kind === 'model' && modelKey(other) === modelKey(form)) === i;
  const ofForm = (form: PlannedForm, i: number) => {
    const makes = formats[form.format].kind === 'model' && isFirst(form, i);
    return phasesIn(makes && `make ${form.precision}`, `write ${form.name}`, `check ${form.name}`);
  };
  return phasesIn('read', forms.flatMap(ofForm), data !== undefined && 'evaluate', rounds > 0 && 'time');
}

/** What the model says of itself. */
const resizerOf = ({model}: Precise): ResizerName => readGpd(model.metadata, 'preprocessing')!['resizer'] as ResizerName;

function refuseExisting({path, format}: PlannedForm, input: string, force: boolean): void {
  const row: ModelFormat | WeightsFormat = formats[format];
  if (row.kind === 'model' && row.isFolder) checkOutputFolder(path, {force});
  else checkOutput(path, {force, inputs: [input]});
}

class ExportRun {
  private readonly staged: StagedForm[] = [];
  private readonly models = new Map<string, Promise<Precise>>();
  private readonly created: string[] = [];
  /** By precision. */
  private readonly students = new Map<PrecisionName, Promise<Model>>();

  constructor(
    private readonly source: ExportSource,
    private readonly options: ExportSettings,
    private readonly recipe: Recipe,
    private readonly calibration: CalibrationOf,
  ) {}

  async make(plan: PlannedForm): Promise<void> {
    const staging = new Staging({replace: this.options.force});
    const form = formats[plan.format].kind === 'weights' ? await this.weights(plan, staging) : await this.model(plan, staging);
    this.staged.push(form);
  }

  async finish(path: string): Promise<ExportReport> {
    const {source, options, staged} = this;
    const measured = await measureForms({source, forms: staged, options});
    options.signal?.throwIfAborted();
    const reports = staged.map((form, i) => this.report(form, measured.forms[i]!));
    for (const [i, {written}] of reports.entries()) if (written) staged[i]!.staging.commit();
    const {subject, conversion, model} = source;
    return {
      input: {
        path,
        arch: readGpd(model.metadata, 'arch') ?? null,
        bytes: subject.size.fileBytes ?? subject.size.weightBytes,
        nodes: subject.size.nodes,
        converted: conversion !== undefined,
        without: subject.without,
        warnings: [...(conversion?.warnings ?? []), ...subject.warnings],
        ...measured.source,
      },
      calibration: this.calibration.description,
      warnings: [...this.calibration.warnings, ...warningsOf(options.data ?? '', measured.evaluation?.warnings ?? [])],
      forms: reports,
      gates: measured.evaluation?.gates ?? [],
      evaluation: measured.evaluation ?? null,
      ok: reports.every(({written}) => written),
    };
  }

  /** Leaves no trace of what was not committed. */
  discard(): void {
    for (const {staging} of this.staged) staging.discard();
    for (const folder of this.created) if (existsSync(folder) && readdirSync(folder).length === 0) rmdirSync(folder);
  }

  private report({plan, made, bytes, files, check, subject}: StagedForm, measured: MeasuredForm): FormReport {
    const nodes = subject?.size.nodes ?? null;
    const {notes = [], details = {}, warnings = [], refused = null, model} = made ?? {};
    return {
      ...plan,
      ...{files, bytes, nodes, opset: model?.opset ?? null, notes, details, check, refused},
      ...measured,
      warnings: [...warnings, ...farFromFloat32(check), ...measured.warnings],
      written: check.ok && refused === null && measured.gatesOk && measured.timingFailed === null,
    };
  }

  private async weights(plan: PlannedForm, staging: Staging): Promise<StagedForm> {
    const {source, options} = this;
    const format = formats[plan.format];
    if (format.kind !== 'weights') throw new Error(`${plan.format} is no format of weights`);
    await enterPhase(options, `write ${plan.name}`);
    const original = await source.weights(options.batchNorm);
    const precise = plan.precision === 'fp16' ? inHalf(original) : original;
    const weights = renamed(precise, options.names);
    const originals = new Map([...weights.keys()].map((key, i) => [key, [...original.keys()][i]!]));
    const written = format.write(weights, plan.path, staging);
    const folded = options.batchNorm === 'fold' ? (source.modules ?? ('unknown' as const)) : undefined;
    const file = {temporaryPath: written.main.temporaryPath, path: plan.path, weights, originals, folded};
    await enterPhase(options, `check ${plan.name}`);
    const own = {...options, imageSize: source.subject.input.side};
    const check = await checkWeightsForm(source.subject, file, precisions[plan.precision], own);
    return {
      plan,
      made: undefined,
      bytes: written.bytes,
      files: written.files,
      staging,
      check,
      subject: undefined,
      timed: undefined,
    };
  }

  private async model(plan: PlannedForm, staging: Staging): Promise<StagedForm> {
    const {source, options, recipe} = this;
    const format = formats[plan.format];
    if (format.kind !== 'model') throw new Error(`${plan.format} is no format of models`);
    const inside = options.embed || format.own !== undefined;
    const made = await this.precise(plan);
    await enterPhase(options, `write ${plan.name}`);
    if (format.isFolder) this.makeFolder(plan.path);
    const written = await format.write(made.model, plan.path, staging, this.writeOptions(plan));
    const runs = written.main.temporaryPath;
    const own = subjectsOfForm({plan, made, runs, source: source.subject});
    await enterPhase(options, `check ${plan.name}`);
    const precision = precisions[plan.precision];
    const check = await (inside
      ? checkPhotographs(source.subject, own, precision, {recipe, resizer: resizerOf(made)})
      : checkForm(source.subject, own, precision, imagesFor(source.subject.input.side, precision, this.calibration)));
    return {
      plan,
      made,
      bytes: written.bytes,
      files: written.files,
      staging,
      check,
      subject: own.subject,
      timed: {...own.file, path: runs},
    };
  }

  private makeFolder(path: string): void {
    if (existsSync(path)) return;
    mkdirSync(path);
    this.created.push(path);
  }

  private writeOptions({precision, path}: PlannedForm): WriteOptions {
    const {model, subject} = this.source;
    const name = readGpd(model.metadata, 'arch') ?? path;
    const page = {name, precision: precisions[precision].description, labels: this.labels, topK: this.shownClasses(subject)};
    return {page, ...(this.options.externalData && {externalData: 'always' as const})};
  }

  /** Asked for, or those that the student brings. */
  private get labels(): readonly string[] | undefined {
    return this.options.labels ?? readGpd(this.source.model.metadata, 'labels');
  }
  private shownClasses({classes}: Subject): number {
    return Math.min(this.options.topK ?? 5, classes);
  }

  /** Made once for all formats that take the same model. */
  private precise(plan: PlannedForm): Promise<Precise> {
    const known = this.models.get(modelKey(plan)) ?? this.makePrecise(plan);
    this.models.set(modelKey(plan), known);
    return known;
  }

  private async makePrecise({precision, format}: PlannedForm): Promise<Precise> {
    const {options, calibration} = this;
    await enterPhase(options, `make ${precision}`);
    const student = await this.studentFor(precision);
    const check = options.data === undefined || precision !== 'int8' ? undefined : await this.accuracyOf();
    const context: PrecisionContext = {
      ...{calibration, io: options.io, onProgress: this.announce},
      int8: {...options.int8, ...(check && {check, maxDrop: options.gates.maxDrop})},
    };
    const made = await makeModel(student, precision, this.modelOptions(ownModelOf(format), options.embed), context);
    const {opset} = this.source.model;
    const raised = options.opset === undefined && !options.target && student.opset > opset;
    return raised
      ? {...made, notes: [`raised from opset ${opset} to ${student.opset}, which ${precision} needs`, ...made.notes]}
      : made;
  }

  /** Within a phase, such as the candidates of int8. */
  private readonly announce = (what: string): void => {
    this.options.onPhase?.(what);
    this.options.signal?.throwIfAborted();
  };

  private studentFor(precision: PrecisionName): Promise<Model> {
    const known = this.students.get(precision) ?? this.prepareStudent(precision);
    this.students.set(precision, known);
    return known;
  }

  /** Where no bound holds the form against float32, the rewriting for another opset is held against it here. */
  private async prepareStudent(precision: PrecisionName): Promise<Model> {
    const {model, subject} = this.source;
    const student = await prepareStudent(model, precision, this.modelOptions(undefined, false));
    if (student.opset === model.opset || precisions[precision].bound || !isStudentOf(student, model)) return student;
    const moved = subjectOfModel(subject.path, 'student', student, subject.family);
    const check = await checkForm(subject, {subject: moved, file: moved}, precisions.fp32, randomImages(subject.input.side));
    if (check.ok) return student;
    throw new GpdError('EXPORT_REFUSED', `the network, rewritten for opset ${student.opset}: ${check.problem}`, {
      at: subject.path,
      hint: `export it from its framework again, in opset ${student.opset}`,
    });
  }

  /** Top-1 of a candidate on the images of the gates. */
  private async accuracyOf() {
    const {top1Of} = await import('./measure.js');
    return top1Of(this.source.subject, this.options);
  }

  private modelOptions(own: OwnModel | undefined, embed: boolean): FormOptions {
    const {target, opset, batch, resizer, softmax, topK, labels, imageSize} = this.options;
    const side = this.source.conversion ? undefined : imageSize;
    const answers = own
      ? {softmax: true, topK: this.shownClasses(this.source.subject), labels: undefined}
      : softmax || topK !== undefined || labels
        ? {softmax, topK, labels}
        : undefined;
    return {
      ...{target: target ?? own?.target, opset, batch: own?.batch ?? batch, side, answers},
      embed: embed || own ? {recipe: this.recipe, resizer} : undefined,
    };
  }
}

/** It takes the same images, so that the two can be compared. */
const isStudentOf = (student: Model, model: Model): boolean =>
  String(student.graph.inputs[0]?.shape) === String(model.graph.inputs[0]?.shape);
