import { Command, Flags } from '@oclif/core';
import { dataDirFlag, jsonFlag, runDirFlag } from '../core/cli/flags.js';
import { examine, exitStatus, findingsText } from '../core/doctor/doctor.js';

export default class Doctor extends Command {
  static override summary = 'Check everything that the server needs, and say how to mend what is wrong';
  static override description =
    `Looks at rights, tun, kernel offloads, clock, MTU, ports, forwarding, NAT, connection tracking, name servers, certificates and files of \
secrets, for the configuration that the server would use. It can be used before the server runs and beside it, and changes nothing. Exit status: 0 when \
nothing is broken (warnings and hints may be there), 1 on an error.`;
  static override examples = [
    '<%= config.bin %> doctor',
    '<%= config.bin %> doctor --config /etc/vpn/vpn.conf --json',
  ];
  static override flags = {
    config: Flags.string({
      char: 'c',
      description: 'Configuration file (default: what the server would find)',
      helpValue: 'FILE',
    }),
    'data-dir': dataDirFlag,
    'run-dir': runDirFlag,
    json: jsonFlag('Print a JSON array of findings.'),
  };

  async run(): Promise<void> {
    const { flags } = await this.parse(Doctor);
    const findings = await examine({
      config: flags.config,
      dataDir: flags['data-dir'],
      runDir: flags['run-dir'],
    });
    this.log(flags.json ? JSON.stringify(findings, null, 2) : findingsText(findings));
    process.exitCode = exitStatus(findings);
  }
}
