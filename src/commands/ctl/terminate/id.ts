import { Command } from '@oclif/core';
import { ctlFlags, idArgument, runCtl, said } from '../../../core/control/command.js';

export default class CtlTerminateId extends Command {
  static override summary = 'Invalidate the session of one connection';
  static override examples = ['<%= config.bin %> ctl terminate id 12'];
  static override flags = ctlFlags;
  static override args = { id: idArgument };

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
