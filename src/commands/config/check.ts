import { Args } from '@oclif/core';
import { ConfigCommand, configFlags } from '../../core/cli/config-command.js';
import { checkedText } from '../../core/config/check.js';
import { loadDetailed } from '../../core/config/load.js';
import { machineChecks } from '../../core/config/machine-checks.js';
import { keyCheck } from '../../core/secmod/key-check.js';
import { methodCheck } from '../../core/secmod/method-check.js';

export default class ConfigCheck extends ConfigCommand {
  static override summary =
    'Check a configuration file and the files that it names; exit status 1 with every mistake in it.';
  static override args = { file: Args.string({ description: 'Configuration file, instead of --config.' }) };
  static override flags = configFlags;

  async run(): Promise<void> {
    const { args, flags } = await this.parse(ConfigCheck);
    const dataDir = flags['data-dir'];
    const checks = [...machineChecks(dataDir), keyCheck, await methodCheck(dataDir)];
    const built = loadDetailed({
      ...this.source({ ...flags, config: args.file ?? flags.config }),
      checks,
    });
    this.log(checkedText(built));
  }
}
