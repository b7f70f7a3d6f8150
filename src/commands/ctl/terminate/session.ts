import { Args, Command } from '@oclif/core';
import { ctlFlags, runCtl, said } from '../../../core/control/command.js';

export default class CtlTerminateSession extends Command {
  static override summary = 'End one session, with a tunnel or without';
  static override examples = ['<%= config.bin %> ctl terminate session qS+16a'];
  static override flags = ctlFlags;
  static override args = {
    id: Args.string({ required: true, description: 'Session as in "show sessions", or the whole id' }),
  };

  async run(): Promise<void> {
    const { args, flags } = await this.parse(CtlTerminateSession);
    await runCtl(
      'terminate-session',
      { id: args.id },
      flags,
      said(() => `session '${args.id}' was terminated (session invalidated)`),
    );
  }
}
