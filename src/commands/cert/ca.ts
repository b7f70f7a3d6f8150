import { join } from 'node:path';
import { Flags } from '@oclif/core';
import { CertCommand, daysFlag, folderFlags, forceFlag, keyTypeFlag } from '../../core/cli/cert-command.js';
import { makeCa } from '../../core/pki/authority.js';

export default class CertCa extends CertCommand {
  static override summary = 'Make a certificate authority.';
  static override description =
    'Writes ca.crt and ca.key. Give ca.crt to the server as ca-cert; ca.key signs, so keep it where only you can read it.';
  static override examples = [
    '<%= config.bin %> cert ca',
    '<%= config.bin %> cert ca --name "Example VPN" --dir /root/vpn-pki --days 7300',
  ];
  static override flags = {
    ...folderFlags,
    name: Flags.string({ summary: 'Its common name; without it one with a random part.' }),
    'key-type': keyTypeFlag(),
    days: daysFlag(3652),
    force: forceFlag,
  };

  async run(): Promise<void> {
    const { flags } = await this.parse(CertCa);
    const { dir: folder, 'key-type': keyType, days, force } = flags;
    const made = await makeCa(flags.name, { folder, keyType, days, force });
    this.show(made, flags.json, [
      'In the configuration of the server, for logins by certificate:',
      `  ca-cert = ${join(folder, 'ca.crt')}`,
      '  cert-user-oid = 0.9.2342.19200300.100.1.1',
    ]);
  }
}
