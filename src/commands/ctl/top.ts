import { Command, Flags } from '@oclif/core';
import { ctlFlags } from '../../core/control/command.js';
import { runTop } from '../../core/control/top.js';

export default class CtlTop extends Command {
  static override summary = 'Live view of the sessions and what they transfer';
  static override examples = [
    '<%= config.bin %> ctl top',
    '<%= config.bin %> ctl top --interval 5 --rounds 1',
  ];
  static override flags = {
    ...ctlFlags,
    interval: Flags.integer({ description: 'Seconds between two looks', default: 1, min: 1 }),
    rounds: Flags.integer({ description: 'End after so many looks, 0: never', default: 0, min: 0 }),
  };

  async run(): Promise<void> {
    const { flags } = await this.parse(CtlTop);
    await runTop(flags, flags.interval, flags.rounds);
  }
}
