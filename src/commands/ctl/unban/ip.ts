import { Command } from '@oclif/core';
import { addressArgument, ctlFlags, runCtl, said } from '../../../core/control/command.js';

export default class CtlUnbanIp extends Command {
  static override summary = 'Forget the points of an address';
  static override examples = ['<%= config.bin %> ctl unban ip 192.0.2.7'];
  static override flags = ctlFlags;
  static override args = { ip: addressArgument };

  async run(): Promise<void> {
    const { args, flags } = await this.parse(CtlUnbanIp);
    await runCtl(
      'unban-ip',
      { ip: args.ip },
      flags,
      said(({ unbanned }) => (unbanned ? `IP '${args.ip}' was unbanned` : `IP '${args.ip}' has no points`)),
    );
  }
}
