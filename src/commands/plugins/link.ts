import { Args, Command } from '@oclif/core';
import { dataDirFlag } from '../../core/cli/flags.js';
import { linkPlugin } from '../../core/plugins/linked.js';

export default class PluginsLink extends Command {
  static override summary = 'Add an authentication plugin to the server.';
  static override description =
    'The folder holds a built package with the oclif hook vpn:auth-backends. Only root may be able to write it. The server loads it at its next start.';
  static override examples = ['<%= config.bin %> plugins link /opt/vpn-auth-example'];
  static override args = {
    folder: Args.string({ required: true, description: 'Folder with package.json.' }),
  };
  static override flags = { 'data-dir': dataDirFlag };

  async run(): Promise<void> {
    const { args, flags } = await this.parse(PluginsLink);
    const name = linkPlugin(flags['data-dir'], args.folder);
    this.log(`The plugin ${name} is linked. Restart the server to use it.`);
  }
}
