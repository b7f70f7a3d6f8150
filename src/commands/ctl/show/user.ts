import { Args, Command } from '@oclif/core';
import { ctlFlags, runCtl } from '../../../core/control/command.js';
import { userView } from '../../../core/control/views.js';

export default class CtlShowUser extends Command {
  static override summary = 'Show the sessions of one user in detail';
  static override examples = ['<%= config.bin %> ctl show user alice'];
  static override flags = ctlFlags;
  static override args = {
    name: Args.string({ required: true, description: 'User name' }),
  };

  async run(): Promise<void> {
    const { args, flags } = await this.parse(CtlShowUser);
    await runCtl('user', { name: args.name }, flags, userView);
  }
}
