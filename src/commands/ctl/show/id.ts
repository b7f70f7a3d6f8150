import { Command } from '@oclif/core';
import { ctlFlags, idArgument, runCtl } from '../../../core/control/command.js';
import { userView } from '../../../core/control/views.js';

export default class CtlShowId extends Command {
  static override summary = 'Show one connection in detail';
  static override examples = ['<%= config.bin %> ctl show id 12'];
  static override flags = ctlFlags;
  static override args = { id: idArgument };

  async run(): Promise<void> {
    const { args, flags } = await this.parse(CtlShowId);
    await runCtl('id', { id: args.id }, flags, userView);
  }
}
