import { Command } from '@oclif/core';
import { ctlFlags, idArgument, runCtl, said } from '../../../core/control/command.js';

export default class CtlDisconnectId extends Command {
  static override summary = 'End one connection; its cookie dies too';
  static override examples = ['<%= config.bin %> ctl disconnect id 12'];
  static override flags = ctlFlags;
  static override args = { id: idArgument };

  async run(): Promise<void> {
    const { args, flags } = await this.parse(CtlDisconnectId);
    await runCtl(
      'disconnect-id',
      { id: args.id },
      flags,
      said(() => `connection ID '${args.id}' was disconnected`),
    );
  }
}
