import { Command, Flags } from '@oclif/core';
import { dataDirFlag, runDirFlag } from '../core/cli/flags.js';

/** For `vpn help`: bin/run.js starts the process itself, without loading oclif. */
export default class Secmod extends Command {
  static override summary = 'Run the process that holds private keys, users and sessions.';
  static override description =
    'vpn serve starts it by itself. Run it alone to supervise each role separately; workers and main reach it on its socket.';
  static override examples = ['<%= config.bin %> secmod --config /etc/vpn/vpn.yaml --run-dir /run/vpn'];
  static override flags = {
    config: Flags.string({ char: 'c', summary: 'Configuration file; without it the embedded default.' }),
    'data-dir': dataDirFlag,
    'run-dir': runDirFlag,
    socket: Flags.string({ summary: 'Path of the socket, in place of the one in the run directory.' }),
    'log-level': Flags.integer({ char: 'd', summary: '0..9, over log-level.', min: 0, max: 9 }),
  };

  async run(): Promise<void> {
    await this.parse(Secmod);
    const { runSecmod } = await import('../core/secmod/entry.js');
    await runSecmod(this.argv);
  }
}
