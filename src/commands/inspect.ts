import * as Args from '@oclif/core/args';
import * as Flags from '@oclif/core/flags';
import {recogniseFlags, recogniseOptions} from '../cli/flags/shared.js';
import {GpdCommand} from '../cli/gpd-command.js';
import {renderCheckpoint} from '../cli/render/checkpoint.js';
import {renderModel} from '../cli/render/model.js';
import {styleFor} from '../cli/terminal/style.js';
import {type FileSummary, inspectFile} from '../workflows/inspect.js';

export default class Inspect extends GpdCommand {
  static override summary = 'show what is in a checkpoint or in an ONNX model';
  static override description =
    'Of a checkpoint: its entries, the network that its tensors form, and which tensor is used for what. Nothing in the file is executed.';
  static override examples = [
    '<%= config.bin %> <%= command.id %> resnet18_dkd_gpd.pth.tar',
    '<%= config.bin %> <%= command.id %> resnet18_dkd_gpd.pth.tar --all',
    '<%= config.bin %> <%= command.id %> student.onnx --text',
  ];
  static override args = {
    file: Args.string({description: 'a checkpoint (PyTorch, safetensors) or an ONNX model', required: true}),
  };
  static override flags = {
    all: Flags.boolean({description: 'list every tensor and every training option of a checkpoint'}),
    text: Flags.boolean({description: 'print an ONNX model as text, a line for each value'}),
    ...recogniseFlags,
  };

  async run(): Promise<FileSummary> {
    const {args, flags} = await this.parse(Inspect);
    const {all, text} = flags;
    const summary = await inspectFile(args.file, {...recogniseOptions(flags), text});
    const style = styleFor(process.stdout);
    if (summary.kind === 'checkpoint') for (const line of renderCheckpoint(summary, style, {all})) this.log(line);
    else if (text) this.log(summary.text);
    else for (const line of renderModel(summary, style)) this.log(line);
    return summary;
  }
}
