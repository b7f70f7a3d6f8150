import { Args } from '@oclif/core';
import { CertCommand, daysFlag, folderFlags, forceFlag, keyTypeFlag } from '../../core/cli/cert-command.js';
import { makeServer } from '../../core/pki/authority.js';

export default class CertServer extends CertCommand {
  static override summary = 'Make a certificate for a server.';
  static override description =
    'Writes NAME.crt and NAME.key for the first of the names; clients must trust ca.crt, or pin the key.';
  static override strict = false;
  static override examples = [
    '<%= config.bin %> cert server vpn.example.com',
    '<%= config.bin %> cert server vpn.example.com 192.0.2.1 2001:db8::1 --key-type rsa',
  ];
  static override args = {
    name: Args.string({ required: true, description: 'Names and addresses that clients connect to.' }),
  };
  static override flags = {
    ...folderFlags,
    'key-type': keyTypeFlag(),
    days: daysFlag(825),
    force: forceFlag,
  };

  async run(): Promise<void> {
    const { argv, flags } = await this.parse(CertServer);
    const { dir: folder, 'key-type': keyType, days, force } = flags;
    const made = await makeServer(argv.map(String), { folder, keyType, days, force });
    const [certificate, key] = made.files;
    this.show(made, flags.json, [
      'In the configuration of the server:',
      `  server-cert = ${certificate}`,
      `  server-key = ${key}`,
    ]);
  }
}
