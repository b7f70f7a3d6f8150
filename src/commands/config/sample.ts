import { ConfigCommand } from '../../core/cli/config-command.js';
import { sampleConf } from '../../core/config/documents.js';

export default class ConfigSample extends ConfigCommand {
  static override summary = 'Print a sample configuration with every option that has an effect.';

  async run(): Promise<void> {
    await this.parse(ConfigSample);
    this.log(sampleConf().trimEnd());
  }
}
