import { ConfigCommand, configFlags, fileArgument } from '../../core/cli/config-command.js';
import { jsonFlag } from '../../core/cli/flags.js';
import { loadConfig } from '../../core/config/load.js';
import { changesOf, changesText } from '../../core/config/show.js';

export default class ConfigDiff extends ConfigCommand {
  static override summary = 'Say what another configuration file would change, when, and for whom.';
  static override args = { newfile: fileArgument };
  static override flags = { ...configFlags, json: jsonFlag() };

  async run(): Promise<void> {
    const { args, flags } = await this.parse(ConfigDiff);
    const dataDir = flags['data-dir'];
    const running = loadConfig(this.source(flags));
    const changes = changesOf(running, loadConfig({ file: args.newfile, dataDir }));
    this.log(flags.json ? JSON.stringify(changes, null, 2) : changesText(changes));
  }
}
