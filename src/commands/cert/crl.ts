import { Args, Flags } from '@oclif/core';
import { CertCommand, daysFlag, folderFlags } from '../../core/cli/cert-command.js';
import { makeCrl } from '../../core/pki/authority.js';
import { REASONS, type Reason } from '../../core/pki/revocation.js';

export default class CertCrl extends CertCommand {
  static override summary = 'Revoke certificates, or renew the list of those that are.';
  static override description =
    'Writes crl.pem: what it has, and the certificates that are named. The server reads it again when it changes. A list that is out of date revokes everything, so renew it before its end.';
  static override strict = false;
  static override examples = [
    '<%= config.bin %> cert crl alice --reason keyCompromise',
    '<%= config.bin %> cert crl --days 90',
  ];
  static override args = {
    certificate: Args.string({
      description: 'Users whose certificates are revoked, or files of certificates.',
    }),
  };
  static override flags = {
    ...folderFlags,
    reason: Flags.option({
      options: REASONS,
      default: 'unspecified' as Reason,
      summary: 'Why they are revoked.',
    })(),
    days: daysFlag(365),
  };

  async run(): Promise<void> {
    const { argv, flags } = await this.parse(CertCrl);
    const { dir: folder, days, reason } = flags;
    const made = await makeCrl({ folder, days, reason, revoke: argv.map(String) });
    this.show(made, flags.json, ['In the configuration of the server:', `  crl = ${made.files[0]}`]);
  }
}
