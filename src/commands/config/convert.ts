import { Args, Flags } from '@oclif/core';
import { ConfigCommand, fileArgument } from '../../core/cli/config-command.js';
import { convertFile } from '../../core/config/convert.js';
import { formatOf } from '../../core/config/load.js';
import { writeNewFile } from '../../core/config/source-file.js';

export default class ConfigConvert extends ConfigCommand {
  static override summary =
    'Turn ocserv.conf into commented YAML or JSON, or back; the format follows from the name.';
  static override examples = [
    '<%= config.bin %> config convert /etc/ocserv/ocserv.conf /etc/vpn/vpn.config.yaml',
  ];
  static override args = {
    in: fileArgument,
    out: Args.string({
      required: true,
      description: 'File to write: .yaml, .json or .conf; - is YAML on the terminal.',
    }),
  };
  static override flags = { force: Flags.boolean({ summary: 'Replace the file if it exists.' }) };

  async run(): Promise<void> {
    const { args, flags } = await this.parse(ConfigConvert);
    const toTerminal = args.out === '-';
    const text = convertFile(args.in, toTerminal ? 'yaml' : formatOf(args.out));
    if (toTerminal) this.log(text.trimEnd());
    else writeNewFile(args.out, text, flags.force);
  }
}
