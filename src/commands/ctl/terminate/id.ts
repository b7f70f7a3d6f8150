import { Args, Command } from '@oclif/core';
import { ctlFlags, runCtl, said } from '../../../core/control/command.js';

export default class CtlTerminateId extends Command {
  static override summary = 'Invalidate the session of one connection';
  static override examples = ['<%= config.bin %> ctl terminate id 12'];
  static override flags = ctlFlags;
  static override args = {
    id: Args.integer({ required: true, min: 1, description: 'ID as in "show users"' }),
  };

  async run(): Promise<void> {
    const { args, flags } = await this.parse(CtlTerminateId);
    await runCtl(
      'terminate-id',
      { id: args.id },
      flags,
      said(() => `connection ID '${args.id}' was terminated (session invalidated)`),
    );
  }
}
