import { Command } from '@oclif/core';
import { ctlFlags, runCtl } from '../../core/control/command.js';
import { reloadView } from '../../core/control/views.js';

export default class CtlReload extends Command {
  static override summary = 'Read the configuration, certificates and keys again; sessions go on';
  static override examples = ['<%= config.bin %> ctl reload'];
  static override flags = ctlFlags;

  async run(): Promise<void> {
    const { flags } = await this.parse(CtlReload);
    await runCtl('reload', {}, flags, reloadView);
  }
}
