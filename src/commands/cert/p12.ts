import { Args, Flags } from '@oclif/core';
import { CertCommand, folderFlags, forceFlag } from '../../core/cli/cert-command.js';
import { makePkcs12 } from '../../core/pki/authority.js';
import { readNewPassword } from '../../core/users/read-password.js';

export default class CertP12 extends CertCommand {
  static override summary = "Put a user's certificate, key and authority into a PKCS #12 file, for a phone.";
  static override description =
    'Writes clients/USER.p12. Its password is asked for twice on a terminal; otherwise it is one line of standard input.';
  static override examples = [
    '<%= config.bin %> cert p12 alice',
    'pwgen -s 12 1 | <%= config.bin %> cert p12 alice --password-stdin',
    '<%= config.bin %> cert p12 alice --legacy',
  ];
  static override args = { user: Args.string({ required: true, description: 'Name of the user.' }) };
  static override flags = {
    ...folderFlags,
    'password-stdin': Flags.boolean({ summary: 'Read the password from standard input, without asking.' }),
    legacy: Flags.boolean({
      default: false,
      summary: 'Triple DES and SHA-1, for systems that know nothing newer.',
    }),
    force: forceFlag,
  };

  async run(): Promise<void> {
    const { args, flags } = await this.parse(CertP12);
    const { dir: folder, legacy, force } = flags;
    const password = await readNewPassword(`the file of ${args.user}`, flags['password-stdin']);
    const made = makePkcs12({ folder, userName: args.user, password, legacy, force });
    this.show(made, flags.json, ['Send it and its password by different ways, and delete it afterwards.']);
  }
}
