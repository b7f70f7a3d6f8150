import { Command } from '@oclif/core';
import { ctlFlags, runCtl } from '../../../../core/control/command.js';
import { bansView } from '../../../../core/control/views.js';

export default class CtlShowIpBans extends Command {
  static override summary = 'List the banned addresses';
  static override examples = ['<%= config.bin %> ctl show ip bans'];
  static override flags = ctlFlags;

  async run(): Promise<void> {
    const { flags } = await this.parse(CtlShowIpBans);
    await runCtl('bans', {}, flags, bansView);
  }
}
