import { Flags } from '@oclif/core';
import { ConfigCommand, configFlags } from '../../core/cli/config-command.js';
import { jsonFlag } from '../../core/cli/flags.js';
import { loadDetailed } from '../../core/config/load.js';
import { shownValues, showText } from '../../core/config/show.js';

export default class ConfigShow extends ConfigCommand {
  static override summary = 'Show the configuration that the server would use, without secrets.';
  static override flags = {
    ...configFlags,
    all: Flags.boolean({ summary: 'Options with their defaults, too.' }),
    origin: Flags.boolean({ summary: 'Say of each option where it was set.' }),
    json: jsonFlag(),
  };

  async run(): Promise<void> {
    const { flags } = await this.parse(ConfigShow);
    const built = loadDetailed(this.source(flags));
    const text = flags.json
      ? JSON.stringify(shownValues(built, flags), null, 2)
      : showText(built, flags, flags.origin).trimEnd();
    this.log(text);
  }
}
