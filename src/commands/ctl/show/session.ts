import { Args, Command } from '@oclif/core';
import { ctlFlags, runCtl } from '../../../core/control/command.js';
import { sessionView } from '../../../core/control/views.js';

export default class CtlShowSession extends Command {
  static override summary = 'Show one session in detail';
  static override examples = ['<%= config.bin %> ctl show session qS+16a'];
  static override flags = ctlFlags;
  static override args = {
    id: Args.string({ required: true, description: 'Session as in "show sessions", or the whole id' }),
  };

  async run(): Promise<void> {
    const { args, flags } = await this.parse(CtlShowSession);
    await runCtl('session', { id: args.id }, flags, sessionView);
  }
}
