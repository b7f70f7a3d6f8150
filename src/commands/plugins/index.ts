import { Command } from '@oclif/core';
import { dataDirFlag, jsonFlag } from '../../core/cli/flags.js';
import { addedPlugins } from '../../core/plugins/lists.js';

export default class Plugins extends Command {
  static override summary = 'List the authentication plugins that were installed or linked.';
  static override flags = { 'data-dir': dataDirFlag, json: jsonFlag('Print a JSON array.') };

  async run(): Promise<void> {
    const { flags } = await this.parse(Plugins);
    const added = addedPlugins(flags['data-dir']);
    if (flags.json) this.log(JSON.stringify(added, null, 2));
    else if (added.length === 0) this.log('No plugin was installed or linked.');
    else for (const { name, path } of added) this.log(`${name}  ${path ?? '(missing)'}`);
  }
}
