import { Command, Flags } from '@oclif/core';
import { dataDirFlag, jsonFlag } from '../core/cli/flags.js';
import { runHistory } from '../core/history/command.js';

export default class History extends Command {
  static override summary = 'Show who was connected when, from where, and how much was transferred';
  static override description =
    'Reads the file that the server writes (options history-file and history-days); the server need not run.';
  static override examples = [
    '<%= config.bin %> history --user alice --since 7d',
    '<%= config.bin %> history --since 2026-11-01 --until 2026-12-01 --json',
  ];
  static override flags = {
    'data-dir': dataDirFlag,
    file: Flags.string({ description: 'The file itself (history-file)', helpValue: 'FILE' }),
    user: Flags.string({ char: 'u', description: 'Only this user' }),
    since: Flags.string({
      description: 'Open at this time or later: 90m, 24h, 7d, a date',
      helpValue: 'TIME',
    }),
    until: Flags.string({ description: 'Opened before this time', helpValue: 'TIME' }),
    limit: Flags.integer({ description: 'The latest so many', default: 1000, min: 1, max: 1_000_000 }),
    json: jsonFlag('Print a JSON array, with times in seconds since the epoch.'),
  };

  async run(): Promise<void> {
    const { flags } = await this.parse(History);
    const { 'data-dir': dataDir, ...rest } = flags;
    this.log(runHistory({ dataDir, ...rest }));
  }
}
