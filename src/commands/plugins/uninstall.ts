import { Args } from '@oclif/core';
import { pluginFlags } from '../../core/cli/plugins-command.js';
import { ReportingCommand } from '../../core/cli/reporting-command.js';
import { uninstallPlugin } from '../../core/plugins/installed.js';

export default class PluginsUninstall extends ReportingCommand {
  static override summary = 'Remove an authentication plugin that was installed.';
  static override args = { name: Args.string({ required: true, description: 'Name of the package.' }) };
  static override flags = pluginFlags;

  async run(): Promise<void> {
    const { args, flags } = await this.parse(PluginsUninstall);
    uninstallPlugin(flags['data-dir'], args.name);
    this.log(`The plugin ${args.name} is removed. Restart the server to do without it.`);
  }
}
