import { Args } from '@oclif/core';
import { pluginFlags } from '../../core/cli/plugins-command.js';
import { ReportingCommand } from '../../core/cli/reporting-command.js';
import { unlinkPlugin } from '../../core/plugins/linked.js';

export default class PluginsUnlink extends ReportingCommand {
  static override summary = 'Take an authentication plugin off the server.';
  static override args = { name: Args.string({ required: true, description: 'Name of the package.' }) };
  static override flags = pluginFlags;

  async run(): Promise<void> {
    const { args, flags } = await this.parse(PluginsUnlink);
    unlinkPlugin(flags['data-dir'], args.name);
    this.log(`The plugin ${args.name} is no longer linked. Restart the server to do without it.`);
  }
}
