import { Args, Command } from '@oclif/core';
import { ctlFlags, runCtl, said } from '../../../core/control/command.js';

export default class CtlDisconnectUser extends Command {
  static override summary = 'End all connections of a user, and their cookies';
  static override examples = ['<%= config.bin %> ctl disconnect user alice'];
  static override flags = ctlFlags;
  static override args = {
    name: Args.string({ required: true, description: 'User name' }),
  };

  async run(): Promise<void> {
    const { args, flags } = await this.parse(CtlDisconnectUser);
    await runCtl(
      'disconnect-user',
      { name: args.name },
      flags,
      said(() => `user '${args.name}' was disconnected`),
    );
  }
}
