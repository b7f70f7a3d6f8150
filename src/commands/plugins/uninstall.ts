import { Args, Command } from '@oclif/core';
import { dataDirFlag } from '../../core/cli/flags.js';
import { uninstallPlugin } from '../../core/plugins/installed.js';

export default class PluginsUninstall extends Command {
  static override summary = 'Remove an authentication plugin that was installed.';
  static override args = { name: Args.string({ required: true, description: 'Name of the package.' }) };
  static override flags = { 'data-dir': dataDirFlag };

  async run(): Promise<void> {
    const { args, flags } = await this.parse(PluginsUninstall);
    uninstallPlugin(flags['data-dir'], args.name);
    this.log(`The plugin ${args.name} is removed. Restart the server to do without it.`);
  }
}
