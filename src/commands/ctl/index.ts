import { Command } from '@oclif/core';
import { ctlFlags } from '../../core/control/command.js';
import { runShell } from '../../core/control/shell.js';

const TOPIC = 'ctl:';

export default class Ctl extends Command {
  static override summary = 'Control the running server; without a command: an interactive shell';
  static override examples = ['<%= config.bin %> ctl', '<%= config.bin %> ctl show users'];
  static override flags = ctlFlags;

  async run(): Promise<void> {
    await this.parse(Ctl);
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
          this.logToStderr((error as Error).message);
        }
      },
    });
  }
}
