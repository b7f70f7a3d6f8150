import { Args, Command, Flags } from '@oclif/core';
import { authTestText, runAuthTest } from '../../core/cli/auth-test.js';
import { dataDirFlag, jsonFlag } from '../../core/cli/flags.js';

export default class AuthTest extends Command {
  static override summary = 'Try a login without opening a tunnel.';
  static override description =
    `Runs the login of USER with the configuration of the server, in this process: a server that runs is not involved and \
bans nobody. Prints each step, the group and the configuration that the session would get. What a prompt asks for \
is read unseen from a terminal, else one line of standard input each. A client certificate comes from files, and is looked at as \
secmod would; that the client holds its key is taken for granted without --key. A Kerberos ticket cannot be shown here. \
Exit status: 0 accepted, 1 refused or an error.`;
  static override examples = [
    '<%= config.bin %> auth test alice',
    '<%= config.bin %> auth test --cert alice.crt --key alice.key',
    '<%= config.bin %> auth test alice --config /etc/vpn/vpn.config.yaml --vhost www.example.com --json',
  ];
  static override args = {
    user: Args.string({ description: 'Name of the user; not needed where a certificate says it.' }),
  };
  static override flags = {
    config: Flags.string({
      char: 'c',
      summary: 'Configuration file; without it the one that vpn serve would find.',
      helpValue: 'FILE',
    }),
    'data-dir': dataDirFlag,
    vhost: Flags.string({ summary: 'Virtual host.', default: 'default' }),
    group: Flags.string({ char: 'g', summary: 'Group to select.', default: '' }),
    cert: Flags.string({
      summary: 'Certificate that the client shows: PEM, also a chain, or DER.',
      helpValue: 'FILE',
    }),
    key: Flags.string({ summary: 'Its private key, PEM.', helpValue: 'FILE', dependsOn: ['cert'] }),
    'log-level': Flags.integer({ char: 'd', summary: '0..9: 2 info, 3 debug.', min: 0, max: 9, default: 2 }),
    json: jsonFlag(),
  };

  async run(): Promise<void> {
    const { args, flags } = await this.parse(AuthTest);
    const { config, vhost, group, cert: certificate, key } = flags;
    const result = await runAuthTest({
      user: args.user ?? '',
      config,
      vhost,
      group,
      certificate,
      key,
      dataDir: flags['data-dir'],
      logLevel: flags['log-level'],
    });
    this.log(flags.json ? JSON.stringify(result, null, 2) : authTestText(result));
    process.exitCode = result.session ? 0 : 1;
  }
}
