import { Command } from '@oclif/core';
import { ctlFlags, runCtl } from '../../../core/control/command.js';
import { statusView } from '../../../core/control/views.js';

export default class CtlShowStatus extends Command {
  static override summary = 'Show the state and the figures of the running server';
  static override examples = ['<%= config.bin %> ctl show status'];
  static override flags = ctlFlags;

  async run(): Promise<void> {
    const { flags } = await this.parse(CtlShowStatus);
    await runCtl('status', {}, flags, statusView);
  }
}
