import { Command } from '@oclif/core';
import { knownFailure, unknownCommand } from '../../core/cli/failure.js';
import { ctlFlags } from '../../core/control/command.js';
import { runShell } from '../../core/control/shell.js';

const TOPIC = 'ctl:';

export default class Ctl extends Command {
  static override summary = 'Control the running server; without a command: an interactive shell';
  static override examples = ['<%= config.bin %> ctl', '<%= config.bin %> ctl show users'];
  static override flags = ctlFlags;

  /** Words that are no command of the topic reach this one. */
  static override strict = false;

  async run(): Promise<void> {
    const { argv } = await this.parse(Ctl);
    if (argv.length > 0) throw unknownCommand(['ctl', ...(argv as string[])], this.config.commandIDs);
    const common = this.argv;
    const commands = this.config.commands.filter(({ id }) => id.startsWith(TOPIC));
    const phrases = new Map(
      commands.map(({ id, summary }) => [id.slice(TOPIC.length).replaceAll(':', ' '), summary ?? '']),
    );
    await runShell({
      phrases,
      run: async (phrase, args) => {
        try {
          await this.config.runCommand(`${TOPIC}${phrase.replaceAll(' ', ':')}`, [...args, ...common]);
        } catch (error) {
          this.logToStderr(`vpn: ${knownFailure(error)?.message ?? (error as Error).message}`);
        }
      },
    });
  }
}
