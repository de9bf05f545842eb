import * as Args from '@oclif/core/args';
import {exitCodes} from '../cli/exit-codes.js';
import {exportFlags, exportOptions} from '../cli/flags/export.js';
import {GpdCommand} from '../cli/gpd-command.js';
import {renderExport} from '../cli/render/export.js';
import {noProgress, progressOn} from '../cli/terminal/progress.js';
import {styleFor} from '../cli/terminal/style.js';
import {limitMemory} from '../eval/memory-limit.js';
import type {ExportReport} from '../workflows/export/export.js';

export default class Export extends GpdCommand {
  static override summary =
    'make production forms of a student: smaller, faster, each checked against float32 and gated by accuracy';
  static override description =
    `A form appears under its name only if it computes what the float32 student computes, within the bound of its precision, and holds the gates that were asked for.`;
  static override examples = [
    '<%= config.bin %> <%= command.id %> student.onnx --precision fp16 -o student.fp16.onnx --check-data imagenet/val',
    '<%= config.bin %> <%= command.id %> student.onnx --precision int8 --calibrate imagenet/train --check-data imagenet/val --max-drop 0.3',
    '<%= config.bin %> <%= command.id %> student.onnx --embed-preprocessing --labels imagenet --top-k 5 --softmax --target openvino -o out/',
    '<%= config.bin %> <%= command.id %> resnet18_dkd_gpd.pth.tar --precision fp32,fp16 --format onnx,safetensors,pth,ort,web --labels imagenet',
  ];
  static override args = {
    model: Args.string({description: 'an ONNX student that gpd convert wrote, or a checkpoint', required: true}),
  };
  static override flags = exportFlags;

  async run(): Promise<ExportReport> {
    const {args, flags} = await this.parse(Export);
    const options = exportOptions(flags);
    limitMemory(flags['memory-limit']);
    const {exportFile} = await import('../workflows/export/export.js'); // with the ONNX runtime
    const {saveExport} = await import('../workflows/export/page.js');
    const save = flags.report === undefined ? undefined : saveExport(flags.report, this.argv);
    const progress = this.jsonEnabled() ? noProgress : progressOn(process.stderr);
    const work = exportFile(args.model, {...options, ...save?.hooks, onPlan: progress.plan, onPhase: progress.phase});
    const report = await work.finally(progress.end);
    await save?.write(report);
    for (const line of renderExport(report, styleFor(process.stdout))) this.log(line);
    if (!report.ok) process.exitCode = exitCodes.failure;
    return report;
  }
}
