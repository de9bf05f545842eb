import * as Args from '@oclif/core/args';
import * as Flags from '@oclif/core/flags';
import {exitCodes} from '../cli/exit-codes.js';
import {engineFlags, numberList} from '../cli/flags/eval.js';
import {memoryFlags} from '../cli/flags/memory.js';
import {GpdCommand} from '../cli/gpd-command.js';
import {INTERRUPTED, interruptible} from '../cli/interrupt.js';
import {renderBench} from '../cli/render/bench.js';
import {rateProgress} from '../cli/terminal/rate-progress.js';
import {styleFor} from '../cli/terminal/style.js';
import type {BenchResult} from '../eval/bench.js';

export default class Bench extends GpdCommand {
  static override summary = 'measure latency, throughput and memory of ONNX models, and compare them';
  static override description =
    `Each model with each setting runs in a process of its own, in turns. A difference smaller than what the rounds vary by is no verdict. The peak is what matrix products reach in the same runtime with the same threads.`;
  static override examples = [
    '<%= config.bin %> <%= command.id %> student.onnx --provider cpu --threads 1,2',
    '<%= config.bin %> <%= command.id %> before.onnx after.onnx --batch-size 1,32 --json',
  ];
  static override args = {models: Args.string({description: 'ONNX files', required: true, multiple: true})};
  static override flags = {
    threads: numberList({
      description: 'threads of a model, separated by commas; default: one a core',
      helpGroup: 'engine',
      min: 1,
    }),
    'batch-size': numberList({description: 'images in a batch, separated by commas; default: 1', helpGroup: 'engine', min: 1}),
    'image-size': Flags.integer({
      description: 'pixels a side, for a model that takes any size; default: 224',
      min: 1,
      helpValue: 'N',
      helpGroup: 'engine',
    }),
    rounds: Flags.integer({description: 'how often each is measured in turn', min: 2, default: 10, helpValue: 'N'}),
    'round-ms': Flags.integer({description: 'milliseconds of one turn', min: 1, default: 300, helpValue: 'MS'}),
    ...engineFlags,
    ...memoryFlags,
  };

  async run(): Promise<BenchResult & {providerReason: string}> {
    const {args, flags} = await this.parse(Bench);
    const {benchFiles} = await import('../workflows/bench.js'); // with the ONNX runtime
    const progress = rateProgress(process.stderr, undefined, 'rounds');
    const start = performance.now();
    const onProgress = (done: number, total: number, what: string) =>
      progress.show(done, total, (1000 * done) / (performance.now() - start), `, ${what}`);
    const options = {
      ...flags,
      batches: flags['batch-size'],
      imageSize: flags['image-size'],
      roundMs: flags['round-ms'],
      memoryLimit: flags['memory-limit'],
    };
    const result = await interruptible((signal) => benchFiles(args.models, {...options, signal, onProgress})).finally(
      progress.end,
    );
    for (const line of renderBench(result, styleFor(process.stdout))) this.log(line);
    if (!result.complete) process.exitCode = INTERRUPTED;
    else if (result.failures.length > 0) process.exitCode = exitCodes.failure;
    return result;
  }
}
