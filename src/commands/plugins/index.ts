import { pluginFlags } from '../../core/cli/plugins-command.js';
import { ReportingCommand } from '../../core/cli/reporting-command.js';
import { addedPlugins } from '../../core/plugins/lists.js';

export default class Plugins extends ReportingCommand {
  static override summary = 'List the authentication plugins that were installed or linked.';
  static override flags = pluginFlags;

  async run(): Promise<void> {
    const { flags } = await this.parse(Plugins);
    for (const { name, path } of addedPlugins(flags['data-dir'])) this.log(`${name}  ${path ?? '(missing)'}`);
  }
}
