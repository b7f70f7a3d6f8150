import { Args, Command } from '@oclif/core';
import { ctlFlags, runCtl, said } from '../../../core/control/command.js';

export default class CtlTerminateUser extends Command {
  static override summary = 'End all sessions of a user, those without a tunnel too';
  static override examples = ['<%= config.bin %> ctl terminate user alice'];
  static override flags = ctlFlags;
  static override args = {
    name: Args.string({ required: true, description: 'User name' }),
  };

  async run(): Promise<void> {
    const { args, flags } = await this.parse(CtlTerminateUser);
    await runCtl(
      'terminate-user',
      { name: args.name },
      flags,
      said(() => `user '${args.name}' was terminated (session invalidated)`),
    );
  }
}
