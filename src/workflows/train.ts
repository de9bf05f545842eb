/** `gpd train` as a function: trains, keeps the report up to date, converts the best student and measures what that changed. */
import {existsSync} from 'node:fs';
import {join} from 'node:path';
import {convertFile} from '../convert/convert.js';
import {writeAtomically} from '../core/output.js';
import {withDefaults} from '../core/with-defaults.js';
import {type WarningOfSet, warningText} from '../data/warnings.js';
import {renderTraining} from '../eval/report/training-page.js';
import {selectBackend} from '../tfjs/backend/select-backend.js';
import {formatConfig} from '../train/options/config.js';
import {describeSchedule, type ScheduleInWords} from '../train/options/describe-schedule.js';
import type {TrainOptions} from '../train/options/options.js';
import {openImages} from '../train/run/images.js';
import type {EpochRow, Position} from '../train/run/position.js';
import type {RunProgress} from '../train/run/progress.js';
import {trainRun} from '../train/run/run.js';
import {RunDirectory} from '../train/run/run-directory.js';
import {startingPoint} from '../train/run/starting-point.js';
import type {UnreadableImage} from '../train/run/unreadable.js';
import {staticLosses} from '../train/step/losses/index.js';
import {evaluateFiles} from './evaluate.js';
import {environment} from './report-file.js';

/** How a run is watched and ended. */
export interface TrainFilesOptions {
  /** Go on with the run in the folder `out`, or begin it where there is none. Default false. */
  readonly resume?: boolean | undefined;
  /** What is noticed in the images is an error. Default false. */
  readonly strictData?: boolean | undefined;
  /** The command that was given, for the report. */
  readonly command?: string | undefined;
  /** Ends the run after the step under way: `complete` is false, and it can be resumed. */
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: ((progress: RunProgress) => void) | undefined;
  /** What else is going on. */
  readonly onPhase?: ((what: string) => void) | undefined;
  /** What a person should know of this run, a sentence each. */
  readonly onNote?: ((text: string) => void) | undefined;
}

const trainDefaults = {
  resume: false,
  strictData: false,
  command: 'train, called from a program',
  onPhase: () => {},
  onNote: () => {},
  onProgress: () => {},
} as const satisfies TrainFilesOptions;

/** The best student after its conversion. */
export interface StudentSummary {
  readonly onnx: string;
  readonly bytes: number;
  /** Of the logits, training form against what was written. */
  readonly maxRelative: number;
  /** Top-1 in percent on the validation images, before and after; absent without validation images. */
  readonly before?: number;
  readonly after?: number;
  readonly agreement?: number;
}

/** Images that could not be read; others took the places of those for training. */
export interface UnreadableSummary {
  readonly count: number;
  /** The first of them. */
  readonly images: readonly Pick<UnreadableImage, 'set' | 'path' | 'reason'>[];
  /** A line of JSON for each. */
  readonly list: string;
}

const MAX_LISTED = 100;
const summaryOf = (images: readonly UnreadableImage[], directory: RunDirectory): UnreadableSummary => ({
  count: images.length,
  images: images.slice(0, MAX_LISTED).map(({set, path, reason}) => ({set, path, reason})),
  list: directory.file('unreadable'),
});

/** The result of `gpd train --json`. */
export interface TrainSummary {
  readonly out: string;
  readonly complete: boolean;
  readonly backend: {readonly name: string; readonly reason: string};
  /** How the learning rate goes. */
  readonly schedule: ScheduleInWords;
  /** What was left out of the images, or looks wrong in them. */
  readonly warnings: readonly WarningOfSet[];
  readonly unreadable: UnreadableSummary;
  readonly epochs: readonly EpochRow[];
  readonly best: Position['best'] | null;
  readonly student: StudentSummary | null;
}

/** Trains with a whole configuration; `trainOptions` completes one. Throws GpdError. */
export async function trainFiles(options: TrainOptions, given: TrainFilesOptions = {}): Promise<TrainSummary> {
  const request = withDefaults(given, trainDefaults);
  const {resume, signal, onProgress, onPhase, onNote} = request;
  onPhase('reading images and weights');
  const {threads} = options;
  const backend = await selectBackend(options.backend, {smallSteps: 'recorded', ...(threads !== null && {threads})});
  const directory = new RunDirectory(options.out);
  const unreadableBefore = resume ? directory.unreadable() : [];
  const images = await openImages(options, {strict: request.strictData, unreadable: unreadableBefore});
  const {warnings} = images;
  for (const warning of warnings) onNote(`warning  ${warningText(warning)}`);
  try {
    const start = startingPoint(options, images.classes);
    for (const text of start.notes ?? []) onNote(`note  ${text}`);
    await directory.open({resume, signal, onWait: onNote});
    const onEpoch = (epochs: readonly EpochRow[], unreadable: readonly UnreadableImage[]) =>
      saveReport({options, command: request.command}, directory, {
        epochs,
        warnings,
        unreadable: summaryOf(unreadable, directory),
      });
    const result = await trainRun({options, images, start, directory, resume, signal, onProgress, onNote, onEpoch});
    const convert = result.complete && options.convert && result.best !== undefined;
    if (convert) onPhase('converting the best student');
    const student = convert ? await convertBest(directory, options, result.best!, images.validationPath) : null;
    const {complete, epochs, best = null} = result;
    const unreadable = summaryOf(result.unreadable, directory);
    return {
      out: options.out,
      complete,
      backend,
      schedule: describeSchedule(options),
      warnings,
      unreadable,
      epochs,
      best,
      student,
    };
  } finally {
    directory.close();
    await images.close();
  }
}

async function saveReport(
  {options, command}: {options: TrainOptions; command: string},
  directory: RunDirectory,
  {epochs, warnings, unreadable}: Pick<TrainSummary, 'epochs' | 'warnings' | 'unreadable'>,
) {
  const page = await renderTraining(epochs, {
    warnings,
    unreadable,
    title: `Training of ${options.arch} on ${options.data}`,
    losses: Object.entries(staticLosses).map(([name, {title}]) => ({name, title})),
    command,
    environment: environment(),
    configuration: formatConfig(options),
  });
  writeAtomically(directory.file('report'), (write) => write(new TextEncoder().encode(page)));
}

async function convertBest(
  directory: RunDirectory,
  options: TrainOptions,
  {weights}: NonNullable<Position['best']>,
  validation: string | undefined,
): Promise<StudentSummary> {
  const checkpoint = directory.file('best');
  const onnx = join(directory.path, 'student.onnx');
  const model = {ema: weights === 'ema', imageSize: options['image-size']};
  const {outputs} = await convertFile(checkpoint, {...model, outputs: {student: onnx}, force: existsSync(onnx)});
  const {bytes, proof} = outputs[0]!;
  const summary = {onnx, bytes, maxRelative: proof?.relative ?? 0};
  if (validation === undefined) return summary;
  const {evaluation} = await evaluateFiles([checkpoint, onnx], {
    ...{...model, data: validation, onError: options['on-error'], state: join(directory.path, 'evaluation.state.json')},
    samples: options['val-samples'] ?? undefined,
    overrides: {interpolation: options.interpolation, ...(options['val-resize'] > 0 && {resize: options['val-resize']})},
  });
  const [before, after] = [evaluation.models.find((m) => m.form === 'student'), evaluation.models.at(-1)!];
  return {
    ...summary,
    ...(before?.top1 != null && {before: before.top1}),
    ...(after.top1 !== null && {after: after.top1}),
    ...(after.agreement !== null && {agreement: after.agreement}),
  };
}
