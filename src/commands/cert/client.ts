import { Args, Flags } from '@oclif/core';
import { CertCommand, daysFlag, folderFlags, forceFlag, keyTypeFlag } from '../../core/cli/cert-command.js';
import { makeClient } from '../../core/pki/authority.js';

export default class CertClient extends CertCommand {
  static override summary = 'Make a certificate for a user.';
  static override description =
    'Writes clients/USER.crt and clients/USER.key. The user is its UID and CN, groups are its OUs: cert-user-oid 0.9.2342.19200300.100.1.1 (or 2.5.4.3), cert-group-oid 2.5.4.11.';
  static override examples = [
    '<%= config.bin %> cert client alice',
    '<%= config.bin %> cert client bob --group staff --group tech --email bob@example.com --days 90',
    '<%= config.bin %> cert client bob && <%= config.bin %> cert p12 bob',
  ];
  static override args = { user: Args.string({ required: true, description: 'Name of the user.' }) };
  static override flags = {
    ...folderFlags,
    group: Flags.string({
      char: 'g',
      multiple: true,
      default: [],
      summary: 'A group of the user; may be repeated.',
    }),
    email: Flags.string({ default: '', summary: 'E-mail address, for SAN(rfc822name).' }),
    upn: Flags.string({ default: '', summary: 'User principal name, for SAN(upn).' }),
    'key-type': keyTypeFlag(),
    days: daysFlag(365),
    force: forceFlag,
  };

  async run(): Promise<void> {
    const { args, flags } = await this.parse(CertClient);
    const { dir: folder, 'key-type': keyType, days, force, group: groups, email, upn } = flags;
    const names = { userName: args.user, groups, email, upn };
    const made = await makeClient(names, { folder, keyType, days, force });
    const [certificate, key] = made.files;
    this.show(made, flags.json, [
      `openconnect --certificate=${certificate} --sslkey=${key} SERVER`,
      `For a phone: ${this.config.bin} cert p12 ${args.user}`,
    ]);
  }
}
