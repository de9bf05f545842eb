import * as Flags from '@oclif/core/flags';
import {replayFlags, replayRequest} from '../cli/flags/replay.js';
import {givenFlags, optionFlags, trainFlags} from '../cli/flags/train.js';
import {GpdCommand} from '../cli/gpd-command.js';
import {INTERRUPTED, interruptible} from '../cli/interrupt.js';
import {renderReplay} from '../cli/render/replay.js';
import {styleFor} from '../cli/terminal/style.js';
import {trainProgress} from '../cli/terminal/train-progress.js';
import {formatConfig} from '../train/options/config.js';
import type {TrainOptions} from '../train/options/options.js';
import type {ReplayRequest} from '../workflows/replay.js';
import {trainOptions} from '../workflows/train-options.js';

export default class Train extends GpdCommand {
  static override summary = 'train a network by Gap Preserving Distillation';
  static override description =
    `The student is trained inside a dynamic teacher that is wider and shares its weights, with a static teacher or without. --ratio 1 trains the student alone. With --replay: the stored steps of a reference run again, number by number.`;
  static override examples = [
    '<%= config.bin %> <%= command.id %> --preset resnet18-dkd --data imagenet --out runs/r18',
    '<%= config.bin %> <%= command.id %> --arch cifar-resnet20 --data cifar10-train.tar.gz --val cifar10-val.tar --teacher cifar-resnet56:resnet56.th --kd dkd --epochs 30',
    '<%= config.bin %> <%= command.id %> --config runs/r18/config.yaml --resume',
    '<%= config.bin %> <%= command.id %> --replay goldens/A_resnet18_scratch --trace trace.json --compat reference',
  ];
  static override flags = {
    ...trainFlags,
    ...optionFlags,
    ...replayFlags,
    force: Flags.boolean({description: 'replace existing files of --replay', helpGroup: 'replay'}),
  };

  async run(): Promise<object> {
    const {flags} = await this.parse(Train);
    const request = replayRequest(flags);
    if (request) return this.replay(request);
    const options = trainOptions(givenFlags(flags), {...flags, onNote: (text) => this.note(text)});
    if (flags['print-config']) return this.printConfig(options);
    const {trainFiles} = await import('../workflows/train.js'); // with TensorFlow.js and the ONNX runtime
    const {renderTrain} = await import('../cli/render/train.js');
    const {commandLine} = await import('../workflows/report-file.js');
    const progress = trainProgress(process.stderr, options.epochs);
    const command = commandLine('train', this.argv);
    const {resume, 'strict-data': strictData} = flags;
    const work = interruptible((signal) => trainFiles(options, {resume, strictData, command, signal, ...progress}));
    const summary = await work.finally(progress.end);
    for (const line of renderTrain(summary, styleFor(process.stdout))) this.log(line);
    if (!summary.complete) process.exitCode = INTERRUPTED;
    return summary;
  }

  private async replay(request: ReplayRequest): Promise<object> {
    const {replayFolder} = await import('../workflows/replay.js');
    const report = await replayFolder(request);
    for (const line of renderReplay(report)) this.log(line);
    return report;
  }

  private printConfig(options: TrainOptions): object {
    this.log(formatConfig(options).trimEnd());
    return options;
  }
}
