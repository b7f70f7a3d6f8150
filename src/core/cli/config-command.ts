/** What the `vpn config` commands share: their flags, and the source that they name. */
import { Args, Command, Flags } from '@oclif/core';
import { configFile } from '../config/find.js';
import { dataDirFlag } from './flags.js';

export const configFlags = {
  config: Flags.string({
    char: 'c',
    summary: 'Configuration file; without it the one that vpn serve would find, or the embedded default.',
    helpValue: 'FILE',
  }),
  'data-dir': dataDirFlag,
};
export const fileArgument = Args.string({ required: true, description: 'Configuration file.' });

export abstract class ConfigCommand extends Command {
  protected source(flags: { config: string | undefined; 'data-dir': string }) {
    return { file: configFile(flags.config), dataDir: flags['data-dir'] };
  }
}
