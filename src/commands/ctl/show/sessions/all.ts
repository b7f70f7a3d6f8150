import { Command } from '@oclif/core';
import { ctlFlags, runCtl } from '../../../../core/control/command.js';
import { allSessionsView } from '../../../../core/control/views.js';

export default class CtlShowSessionsAll extends Command {
  static override summary = 'List all sessions, failed logins too';
  static override examples = ['<%= config.bin %> ctl show sessions all'];
  static override flags = ctlFlags;

  async run(): Promise<void> {
    const { flags } = await this.parse(CtlShowSessionsAll);
    await runCtl('sessions', {}, flags, allSessionsView);
  }
}
