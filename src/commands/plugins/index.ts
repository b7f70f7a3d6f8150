import { pluginFlags } from '../../core/cli/plugins-command.js';
import { ReportingCommand } from '../../core/cli/reporting-command.js';
import { linkedPlugins } from '../../core/plugins/linked.js';

export default class Plugins extends ReportingCommand {
  static override summary = 'List the authentication plugins that were linked.';
  static override flags = pluginFlags;

  async run(): Promise<void> {
    const { flags } = await this.parse(Plugins);
    for (const { name, path } of linkedPlugins(flags['data-dir']))
      this.log(`${name}  ${path ?? '(missing)'}`);
  }
}
