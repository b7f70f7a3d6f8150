import { Command } from '@oclif/core';
import { ctlFlags } from '../../core/control/command.js';
import { runEvents } from '../../core/control/events-command.js';

export default class CtlEvents extends Command {
  static override summary = 'Print a JSON line for each session that begins or ends';
  static override examples = ['<%= config.bin %> ctl events | jq .user.session.userName'];
  static override flags = ctlFlags;

  async run(): Promise<void> {
    const { flags } = await this.parse(CtlEvents);
    await runEvents(flags, flags['occtl-json'] ? 'occtl' : 'json');
  }
}
