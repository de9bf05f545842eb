import * as Args from '@oclif/core/args';
import * as Flags from '@oclif/core/flags';
import {type ConversionSummary, summariseConversion} from '../cli/conversion-summary.js';
import {recogniseFlags, recogniseOptions} from '../cli/flags.js';
import {GpdCommand} from '../cli/gpd-command.js';
import {outputPaths} from '../cli/output-paths.js';
import {noProgress, progressOn} from '../cli/progress.js';
import {readLabels} from '../cli/read-labels.js';
import {renderConversion} from '../cli/render-conversion.js';
import {styleFor} from '../cli/style.js';
import {DEFAULT_OPSET, emitNames, MAX_OPSET, MIN_OPSET} from '../convert/build.js';

export default class Convert extends GpdCommand {
  static override summary = 'convert a PyTorch checkpoint to a minimal ONNX model, and prove that both compute the same';
  static override description =
    'The network is recognised from the tensors. Nothing is written unless the model and the network as it was trained give the same logits in onnxruntime.';
  static override examples = [
    '<%= config.bin %> <%= command.id %> resnet18_dkd_gpd.pth.tar',
    '<%= config.bin %> <%= command.id %> rvt_tiny_gpd.pth.tar --output student.onnx --opset 23 --batch 1',
    '<%= config.bin %> <%= command.id %> mobilenet_dkd_gpd.pth.tar --ema --emit student,teacher --output models/ --json',
  ];
  static override args = {
    checkpoint: Args.string({description: 'PyTorch checkpoint (.pth.tar, .pth, .pt, .th) or .safetensors', required: true}),
  };
  static override flags = {
    output: Flags.string({
      char: 'o',
      description: 'file or folder to write to; default: named after the checkpoint, here',
      helpValue: 'PATH',
    }),
    emit: Flags.option({
      options: emitNames,
      description: 'what to write, separated by commas; default: student',
      multiple: true,
      multipleNonGreedy: true,
      delimiter: ',',
      helpValue: 'FORM',
    })(),
    all: Flags.boolean({description: `write all forms: ${emitNames.join(', ')}`, exclusive: ['emit']}),
    ...recogniseFlags,
    opset: Flags.integer({
      description: `ONNX opset, ${MIN_OPSET} to ${MAX_OPSET}`,
      min: MIN_OPSET,
      max: MAX_OPSET,
      default: DEFAULT_OPSET,
      helpValue: 'N',
    }),
    batch: Flags.integer({description: 'fixed batch size; default: dynamic', min: 1, helpValue: 'N'}),
    'input-name': Flags.string({description: 'name of the input', helpValue: 'NAME'}),
    'output-name': Flags.string({description: 'name of the output', helpValue: 'NAME'}),
    labels: Flags.string({
      description: 'names of the classes for the metadata: a line each, or a JSON array',
      helpValue: 'FILE',
    }),
    force: Flags.boolean({char: 'f', description: 'replace existing files'}),
    seed: Flags.integer({description: 'seed of the random images of the proof', default: 0, helpValue: 'N'}),
  };

  async run(): Promise<ConversionSummary> {
    const {args, flags} = await this.parse(Convert);
    const emits = flags.all ? emitNames : [...new Set(flags.emit ?? ['student' as const])];
    const progress = this.jsonEnabled() ? noProgress : progressOn(process.stderr, 3 + 4 * emits.length);
    const {opset, batch, seed, force} = flags;
    const {convertFile} = await import('../convert/convert.js');
    const report = await convertFile(args.checkpoint, {
      ...recogniseOptions(flags),
      ...{opset, batch, seed, force, inputName: flags['input-name'], outputName: flags['output-name']},
      outputs: outputPaths(args.checkpoint, emits, flags.output),
      labels: flags.labels === undefined ? undefined : readLabels(flags.labels),
      onPhase: progress.phase,
    }).finally(progress.end);
    const summary = summariseConversion(report);
    for (const line of renderConversion(summary, styleFor(process.stdout))) this.log(line);
    return summary;
  }
}
