import { ConfigCommand } from '../../core/cli/config-command.js';
import { jsonSchema } from '../../core/config/json-schema.js';

export default class ConfigSchema extends ConfigCommand {
  static override summary = 'Print the JSON Schema of YAML and JSON configurations.';

  async run(): Promise<void> {
    await this.parse(ConfigSchema);
    this.log(JSON.stringify(jsonSchema(), null, 2));
  }
}
