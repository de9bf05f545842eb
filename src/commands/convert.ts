import * as Args from '@oclif/core/args';
import {convertFlags, convertOptions} from '../cli/flags/convert.js';
import {GpdCommand} from '../cli/gpd-command.js';
import {renderConversion} from '../cli/render/conversion.js';
import {noProgress, progressOn} from '../cli/terminal/progress.js';
import {styleFor} from '../cli/terminal/style.js';
import {type ConversionSummary, summariseConversion} from '../workflows/summaries/conversion.js';

export default class Convert extends GpdCommand {
  static override summary = 'convert a checkpoint to a minimal ONNX model, and prove that both compute the same';
  static override description =
    `The network is recognised from the tensors themselves. A model is written only if it gives the same logits as the network as it was trained, both run by onnxruntime on the same images.`;
  static override examples = [
    '<%= config.bin %> <%= command.id %> resnet18_dkd_gpd.pth.tar',
    '<%= config.bin %> <%= command.id %> rvt_tiny_gpd.pth.tar --output student.onnx --opset 23 --batch 1',
    '<%= config.bin %> <%= command.id %> mobilenet_dkd_gpd.pth.tar --ema --emit student,teacher --output models/ --json',
  ];
  static override args = {
    checkpoint: Args.string({description: 'a PyTorch checkpoint (.pth.tar, .pth, .pt, .th) or .safetensors', required: true}),
  };
  static override flags = convertFlags;

  async run(): Promise<ConversionSummary> {
    const {args, flags} = await this.parse(Convert);
    const options = convertOptions(args.checkpoint, flags);
    const progress = this.jsonEnabled() ? noProgress : progressOn(process.stderr);
    const {convertFile} = await import('../convert/convert.js'); // with the ONNX runtime
    const report = await convertFile(args.checkpoint, {...options, onPlan: progress.plan, onPhase: progress.phase}).finally(
      progress.end,
    );
    const summary = summariseConversion(report);
    for (const line of renderConversion(summary, styleFor(process.stdout))) this.log(line);
    return summary;
  }
}
