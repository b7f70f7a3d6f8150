import { Command } from '@oclif/core';
import { ctlFlags, runCtl } from '../../../core/control/command.js';
import { statusText } from '../../../core/control/text.js';

export default class CtlShowStatus extends Command {
  static override summary = 'Show the state and the figures of the running server';
  static override examples = [
    '<%= config.bin %> ctl show status',
    '<%= config.bin %> ctl show status --json',
  ];
  static override flags = ctlFlags;

  async run(): Promise<void> {
    const { flags } = await this.parse(CtlShowStatus);
    await runCtl('status', {}, flags, statusText);
  }
}
