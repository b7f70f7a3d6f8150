import { Flags } from '@oclif/core';
import { ReportingCommand } from '../core/cli/reporting-command.js';
import { DEFAULT_RUN_DIR } from '../core/control/command.js';
import { examine, exitStatus, findingsText } from '../core/doctor/doctor.js';
import { DEFAULT_DATA_DIR } from '../core/users/passwd-target.js';

export default class Doctor extends ReportingCommand {
  static override summary = 'Check everything that the server needs, and say how to mend what is wrong';
  static override description =
    `Looks at rights, tun, kernel offloads, clock, MTU, ports, forwarding, NAT, name servers and certificates, for the configuration
that the server would use. It can be used before the server runs and beside it, and changes nothing. Exit status: 0 when
nothing is broken (warnings may be there), 1 on an error.`;
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
    'data-dir': Flags.string({
      description: 'Data directory of the server',
      default: DEFAULT_DATA_DIR,
      env: 'VPN_DATA_DIR',
      helpValue: 'DIR',
    }),
    'run-dir': Flags.string({
      description: 'Run directory of the server',
      default: DEFAULT_RUN_DIR,
      env: 'VPN_RUN_DIR',
      helpValue: 'DIR',
    }),
    json: Flags.boolean({ description: 'JSON array of findings' }),
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
