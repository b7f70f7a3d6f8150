import { Flags } from '@oclif/core';
import { ConfigCommand } from '../../core/cli/config-command.js';
import { manualPage, optionsPage } from '../../core/config/documents.js';

export default class ConfigDoc extends ConfigCommand {
  static override summary = 'Print the documentation of every option, in Markdown or as vpn.conf(5).';
  static override flags = { man: Flags.boolean({ summary: 'As a manual page.' }) };

  async run(): Promise<void> {
    const { flags } = await this.parse(ConfigDoc);
    this.log((flags.man ? manualPage() : optionsPage()).trimEnd());
  }
}
