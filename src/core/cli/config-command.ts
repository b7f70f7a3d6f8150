/** What the `vpn config` commands share: their flags, and how they report what is wrong with a file. */
import { Args, Command, Flags } from '@oclif/core';
import { configFile } from '../config/find.js';
import { VpnError } from '../errors.js';
import { DEFAULT_DATA_DIR } from '../users/passwd-target.js';

export const configFlags = {
  config: Flags.string({
    char: 'c',
    summary: 'Configuration file; without it the one that vpn serve would find, or the embedded default.',
    helpValue: 'FILE',
  }),
  'data-dir': Flags.string({ summary: 'Directory of state of the server.', default: DEFAULT_DATA_DIR }),
};
export const jsonFlag = Flags.boolean({ summary: 'Print JSON.' });
export const fileArgument = Args.string({ required: true, description: 'Configuration file.' });

export abstract class ConfigCommand extends Command {
  protected source(flags: { config: string | undefined; 'data-dir': string }) {
    return { file: configFile(flags.config), dataDir: flags['data-dir'] };
  }

  /** Mistakes in files are told in lines of their own, as the server does; anything else is a bug and keeps its stack. */
  protected override async catch(error: Error & { exitCode?: number }): Promise<unknown> {
    if (!(error instanceof VpnError)) return super.catch(error);
    process.stderr.write(`vpn: ${error.message}\n`);
    return this.exit(1);
  }
}
