import { Command } from '@oclif/core';
import { ctlFlags, runCtl } from '../../../core/control/command.js';
import { iroutesView } from '../../../core/control/views.js';

export default class CtlShowIroutes extends Command {
  static override summary = 'List the networks behind clients';
  static override examples = ['<%= config.bin %> ctl show iroutes'];
  static override flags = ctlFlags;

  async run(): Promise<void> {
    const { flags } = await this.parse(CtlShowIroutes);
    await runCtl('users', {}, flags, iroutesView);
  }
}
