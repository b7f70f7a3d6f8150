import { Command } from '@oclif/core';
import { ctlFlags, runCtl } from '../../../../core/control/command.js';
import { validSessionsView } from '../../../../core/control/views.js';

export default class CtlShowSessionsValid extends Command {
  static override summary = 'List the sessions whose cookie is good';
  static override examples = ['<%= config.bin %> ctl show sessions valid'];
  static override flags = ctlFlags;

  async run(): Promise<void> {
    const { flags } = await this.parse(CtlShowSessionsValid);
    await runCtl('sessions', {}, flags, validSessionsView);
  }
}
