import { Command } from '@oclif/core';
import { ctlFlags, runCtl } from '../../../../../core/control/command.js';
import { pointsView } from '../../../../../core/control/views.js';

export default class CtlShowIpBanPoints extends Command {
  static override summary = 'List all addresses that have points';
  static override examples = ['<%= config.bin %> ctl show ip ban points'];
  static override flags = ctlFlags;

  async run(): Promise<void> {
    const { flags } = await this.parse(CtlShowIpBanPoints);
    await runCtl('bans', {}, flags, pointsView);
  }
}
