import { Command, Flags } from '@oclif/core';
import { VpnError } from '../core/errors.js';
import { runHistory } from '../core/history/command.js';
import { DEFAULT_DATA_DIR } from '../core/users/passwd-target.js';

export default class History extends Command {
  static override summary = 'Show who was connected when, from where, and how much was transferred';
  static override description =
    'Reads the file that the server writes (options history-file and history-days); the server need not run.';
  static override examples = [
    '<%= config.bin %> history --user alice --since 7d',
    '<%= config.bin %> history --since 2026-11-01 --until 2026-12-01 --json',
  ];
  static override flags = {
    'data-dir': Flags.string({
      description: 'Data directory of the server',
      default: DEFAULT_DATA_DIR,
      env: 'VPN_DATA_DIR',
      helpValue: 'DIR',
    }),
    file: Flags.string({ description: 'The file itself (history-file)', helpValue: 'FILE' }),
    user: Flags.string({ char: 'u', description: 'Only this user' }),
    since: Flags.string({
      description: 'Open at this time or later: 90m, 24h, 7d, a date',
      helpValue: 'TIME',
    }),
    until: Flags.string({ description: 'Opened before this time', helpValue: 'TIME' }),
    limit: Flags.integer({ description: 'The latest so many', default: 1000, min: 1, max: 1_000_000 }),
    json: Flags.boolean({ description: 'JSON array with times in seconds since the epoch' }),
  };

  async run(): Promise<void> {
    const { flags } = await this.parse(History);
    const { 'data-dir': dataDir, ...rest } = flags;
    this.log(runHistory({ dataDir, ...rest }));
  }

  /** Failures that a user can meet are one line. */
  protected override async catch(error: Error & { exitCode?: number }): Promise<unknown> {
    if (error instanceof VpnError) this.error(error.message, { code: error.code, exit: 1 });
    return super.catch(error);
  }
}
