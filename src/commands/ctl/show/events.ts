import { Command } from '@oclif/core';
import { ctlFlags } from '../../../core/control/command.js';
import { runEvents } from '../../../core/control/events-command.js';

export default class CtlShowEvents extends Command {
  static override summary = 'Print a line for each session that begins or ends';
  static override examples = ['<%= config.bin %> ctl show events'];
  static override flags = ctlFlags;

  async run(): Promise<void> {
    const { flags } = await this.parse(CtlShowEvents);
    await runEvents(flags, flags.json ? 'json' : flags['occtl-json'] ? 'occtl' : 'text');
  }
}
