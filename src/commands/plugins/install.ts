import { Args, Command, Flags } from '@oclif/core';
import { dataDirFlag } from '../../core/cli/flags.js';
import { installPlugin } from '../../core/plugins/installed.js';

export default class PluginsInstall extends Command {
  static override summary = 'Install an authentication plugin with npm.';
  static override description =
    'A tarball that "npm pack" made and a folder are copied without any network; other words name a package of the npm registry. The server loads the plugin at its next start.';
  static override examples = [
    '<%= config.bin %> plugins install file:vpn-plugin-auth-example-1.0.0.tgz',
    '<%= config.bin %> plugins install vpn-plugin-auth-foo@2',
  ];
  static override args = {
    package: Args.string({ required: true, description: 'Tarball, folder, or name of a package.' }),
  };
  static override flags = {
    'data-dir': dataDirFlag,
    'allow-scripts': Flags.boolean({
      summary: 'Let it and what it depends on run their installation scripts as root.',
    }),
  };

  async run(): Promise<void> {
    const { args, flags } = await this.parse(PluginsInstall);
    const request = { spec: args.package, allowScripts: flags['allow-scripts'] };
    const name = installPlugin(flags['data-dir'], request);
    this.log(`The plugin ${name} is installed. Restart the server to use it.`);
  }
}
