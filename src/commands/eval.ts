import * as Args from '@oclif/core/args';
import {exitCodes} from '../cli/exit-codes.js';
import {
  dataOptions,
  engineFlags,
  evalFlags,
  gateFlags,
  imageFlags,
  modelFlags,
  recipeOverrides,
  strictFlags,
  subsetFlags,
} from '../cli/flags/eval.js';
import {memoryFlags} from '../cli/flags/memory.js';
import {recogniseFlags, recogniseOptions} from '../cli/flags/shared.js';
import {GpdCommand} from '../cli/gpd-command.js';
import {INTERRUPTED, interruptible} from '../cli/interrupt.js';
import {renderEvaluation} from '../cli/render/evaluation.js';
import {rateProgress} from '../cli/terminal/rate-progress.js';
import {styleFor} from '../cli/terminal/style.js';
import type {Evaluation} from '../eval/evaluation.js';
import {limitMemory} from '../eval/memory-limit.js';

export default class Eval extends GpdCommand {
  static override summary = 'measure the accuracy of models on images, before and after deployment';
  static override description =
    `Every model sees the same batches. A checkpoint stands for its networks as they were trained, the dynamic teacher and the student; an ONNX file is run as it is.`;
  static override examples = [
    '<%= config.bin %> <%= command.id %> resnet18_dkd_gpd.pth.tar student.onnx --data imagenet/val',
    '<%= config.bin %> <%= command.id %> a.onnx b.onnx --data val.tar --provider cuda --min-top1 72.5 --max-drop 0.1',
    '<%= config.bin %> <%= command.id %> student.onnx --data val.tar --samples 1000 --report report.html',
  ];
  static override args = {
    models: Args.string({description: 'checkpoints and ONNX files', required: true, multiple: true}),
  };
  static override flags = {
    ...evalFlags,
    ...gateFlags,
    ...imageFlags,
    ...subsetFlags,
    ...engineFlags,
    ...memoryFlags,
    ...modelFlags,
    ...strictFlags,
    ...recogniseFlags,
  };

  async run(): Promise<Evaluation> {
    const {args, flags} = await this.parse(Eval);
    const {evaluateFiles} = await import('../workflows/evaluate.js'); // with the ONNX runtime and the decoder
    const {saveReport} = await import('../workflows/report-file.js');
    limitMemory(flags['memory-limit']);
    const progress = rateProgress(process.stderr);
    const options = {
      ...flags,
      ...{...recogniseOptions(flags), overrides: recipeOverrides(flags)},
      ...{explainProvider: flags['explain-provider'], batchSize: flags['batch-size'], onError: flags['on-error']},
      ...{outputName: flags['output-name'], restrictClasses: flags['restrict-classes']},
      ...dataOptions(flags),
      gates: {minTop1: flags['min-top1'], maxDrop: flags['max-drop'], minAgreement: flags['min-agreement']},
      onProgress: (p: {done: number; total: number; imagesPerSecond: number}) =>
        progress.show(p.done, p.total, p.imagesPerSecond),
      ...(flags.report !== undefined && {onResult: saveReport(flags.report, this.argv)}),
    };
    const work = interruptible((signal) => evaluateFiles(args.models, {...options, signal}));
    const {evaluation, path} = await work.finally(progress.end);
    for (const line of renderEvaluation(evaluation, styleFor(process.stdout))) this.log(line);
    if (path !== undefined) this.logToStderr(`saved in ${path}: repeat the command with --resume to go on`);
    if (!evaluation.complete) process.exitCode = INTERRUPTED;
    else if (!evaluation.ok) process.exitCode = exitCodes.failure;
    return evaluation;
  }
}
