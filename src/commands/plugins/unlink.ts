import { Args, Command } from '@oclif/core';
import { dataDirFlag } from '../../core/cli/flags.js';
import { unlinkPlugin } from '../../core/plugins/linked.js';

export default class PluginsUnlink extends Command {
  static override summary = 'Take an authentication plugin off the server.';
  static override args = { name: Args.string({ required: true, description: 'Name of the package.' }) };
  static override flags = { 'data-dir': dataDirFlag };

  async run(): Promise<void> {
    const { args, flags } = await this.parse(PluginsUnlink);
    unlinkPlugin(flags['data-dir'], args.name);
    this.log(`The plugin ${args.name} is no longer linked. Restart the server to do without it.`);
  }
}
