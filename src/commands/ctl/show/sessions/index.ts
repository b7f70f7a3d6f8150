import { Command } from '@oclif/core';
import { ctlFlags, runCtl } from '../../../../core/control/command.js';
import { allSessionsView } from '../../../../core/control/views.js';

export default class CtlShowSessions extends Command {
  static override summary = 'List all sessions, those without a tunnel too';
  static override examples = ['<%= config.bin %> ctl show sessions'];
  static override flags = ctlFlags;

  async run(): Promise<void> {
    const { flags } = await this.parse(CtlShowSessions);
    await runCtl('sessions', {}, flags, allSessionsView);
  }
}
