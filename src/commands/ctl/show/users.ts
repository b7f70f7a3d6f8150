import { Command } from '@oclif/core';
import { ctlFlags, runCtl } from '../../../core/control/command.js';
import { usersView } from '../../../core/control/views.js';

export default class CtlShowUsers extends Command {
  static override summary = 'List all connections, one line each';
  static override examples = ['<%= config.bin %> ctl show users'];
  static override flags = ctlFlags;

  async run(): Promise<void> {
    const { flags } = await this.parse(CtlShowUsers);
    await runCtl('users', {}, flags, usersView);
  }
}
