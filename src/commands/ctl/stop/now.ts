import { Command } from '@oclif/core';
import { ctlFlags, runCtl, said } from '../../../core/control/command.js';

export default class CtlStopNow extends Command {
  static override summary = 'End all sessions and the server';
  static override examples = ['<%= config.bin %> ctl stop now'];
  static override flags = ctlFlags;

  async run(): Promise<void> {
    const { flags } = await this.parse(CtlStopNow);
    await runCtl(
      'stop',
      {},
      flags,
      said(() => 'Server scheduled to stop'),
    );
  }
}
