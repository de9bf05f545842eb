import * as Flags from '@oclif/core/flags';
import {GpdCommand} from '../cli/gpd-command.js';
import {renderReplay} from '../cli/render-replay.js';
import {replayFlags, replayRequest, stepFlags} from '../cli/replay-flags.js';
import type {ReplayReport} from '../cli/replay-folder.js';

export default class Train extends GpdCommand {
  static override summary = 'train a network by Gap Preserving Distillation';
  static override description = 'With --replay: the stored steps of a reference run again, number by number.';
  static override examples = [
    '<%= config.bin %> <%= command.id %> --replay goldens/A_resnet18_scratch --trace trace.json --compat reference',
  ];
  static override flags = {
    ...stepFlags,
    ...replayFlags,
    force: Flags.boolean({description: 'replace existing files'}),
  };

  async run(): Promise<ReplayReport> {
    const {flags} = await this.parse(Train);
    const request = replayRequest(flags);
    if (!request) this.error('name the stored run: --replay DIR --trace FILE', {exit: 2});
    const {replayFolder} = await import('../cli/replay-folder.js');
    const report = await replayFolder(request);
    for (const line of renderReplay(report)) this.log(line);
    return report;
  }
}
