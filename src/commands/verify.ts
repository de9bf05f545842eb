import * as Args from '@oclif/core/args';
import {exitCodes} from '../cli/exit-codes.js';
import {
  dataOptions,
  engineFlags,
  imageFlags,
  modelFlags,
  recipeOverrides,
  strictFlags,
  verifyFlags,
} from '../cli/flags/eval.js';
import {memoryFlags} from '../cli/flags/memory.js';
import {recogniseFlags, recogniseOptions} from '../cli/flags/shared.js';
import {GpdCommand} from '../cli/gpd-command.js';
import {INTERRUPTED, interruptible} from '../cli/interrupt.js';
import {renderVerification} from '../cli/render/verification.js';
import {rateProgress} from '../cli/terminal/rate-progress.js';
import {styleFor} from '../cli/terminal/style.js';
import {limitMemory} from '../eval/memory-limit.js';
import type {VerificationResult} from '../workflows/verify.js';

const {'explain-provider': _, ...engine} = {...engineFlags, ...strictFlags};

export default class Verify extends GpdCommand {
  static override summary = 'compare two models number by number, and find the first layer that differs';
  static override description =
    `Both see random images, edges (zeros, single pixels, large numbers) and, with --data, real ones. A checkpoint stands for its student as it was trained. Exits 1 if the models differ, or if comparing them proves nothing because their outputs do not depend on the input.`;
  static override examples = [
    '<%= config.bin %> <%= command.id %> resnet18_dkd_gpd.pth.tar student.onnx --data imagenet/val --samples 512',
    '<%= config.bin %> <%= command.id %> before.onnx after.onnx --layers --json',
  ];
  static override args = {
    reference: Args.string({description: 'what is right: a checkpoint or an ONNX file', required: true}),
    actual: Args.string({description: 'what is held against it', required: true}),
  };
  static override flags = {
    ...verifyFlags,
    ...imageFlags,
    ...engine,
    ...memoryFlags,
    ...modelFlags,
    ...recogniseFlags,
  };

  async run(): Promise<VerificationResult> {
    const {args, flags} = await this.parse(Verify);
    const {verifyFiles} = await import('../workflows/verify.js'); // with the ONNX runtime and the decoder
    limitMemory(flags['memory-limit']);
    const progress = rateProgress(process.stderr);
    const start = performance.now();
    const onProgress = (done: number, total: number) => progress.show(done, total, (1000 * done) / (performance.now() - start));
    const options = {
      ...flags,
      ...recogniseOptions(flags),
      overrides: recipeOverrides(flags),
      onError: flags['on-error'],
      outputName: flags['output-name'],
      ...dataOptions(flags),
    };
    const result = await interruptible((signal) =>
      verifyFiles(args.reference, args.actual, {...options, signal, onProgress}),
    ).finally(progress.end);
    for (const line of renderVerification(result, styleFor(process.stdout))) this.log(line);
    if (!result.complete) process.exitCode = INTERRUPTED;
    else if (!result.ok) process.exitCode = exitCodes.failure;
    return result;
  }
}
