import { Args } from '@oclif/core';
import { CertCommand, certificateText, crlText } from '../../core/cli/cert-command.js';
import { jsonFlag } from '../../core/cli/flags.js';
import { describeFile } from '../../core/pki/authority.js';

export default class CertShow extends CertCommand {
  static override summary = 'Show what is in a certificate or a revocation list.';
  static override examples = [
    '<%= config.bin %> cert show /var/lib/vpn/pki/ca.crt',
    '<%= config.bin %> cert show crl.pem --json',
  ];
  static override args = { file: Args.string({ required: true, description: 'File in PEM or DER.' }) };
  static override flags = { json: jsonFlag() };

  async run(): Promise<void> {
    const { args, flags } = await this.parse(CertShow);
    const found = describeFile(args.file);
    if (flags.json) this.log(JSON.stringify(found, null, 2));
    else this.log('revoked' in found ? crlText(found) : certificateText(found));
  }
}
