import { Command, Flags } from '@oclif/core';

export default class Serve extends Command {
  static override summary = 'Run the VPN server';
  static override description =
    `Runs in the foreground until it gets SIGINT or SIGTERM, starts and supervises the secmod and worker processes, \
and prints the complete openconnect command line when it is ready. Without --config it runs an embedded default: \
a certificate of its own, one generated user, IPv4 and IPv6 address pools, forwarding and NAT.`;
  static override examples = [
    '<%= config.bin %> serve',
    '<%= config.bin %> serve --port 4443 --data-dir ./data',
    '<%= config.bin %> serve --config /etc/vpn/vpn.config.yaml',
  ];
  static override flags = {
    config: Flags.string({
      char: 'c',
      description: 'Configuration file (default: embedded default)',
      helpValue: 'FILE',
    }),
    'data-dir': Flags.string({
      description: 'Certificates and users of the embedded default',
      default: '/var/lib/vpn',
      env: 'VPN_DATA_DIR',
      helpValue: 'DIR',
    }),
    'run-dir': Flags.string({
      description: 'Sockets of the running server; one server per directory',
      default: '/run/vpn',
      env: 'VPN_RUN_DIR',
      helpValue: 'DIR',
    }),
    port: Flags.integer({
      char: 'p',
      description: 'TCP and UDP port (over tcp-port, udp-port)',
      min: 1,
      max: 65535,
    }),
    'udp-port': Flags.integer({ description: 'UDP port, 0 for no DTLS', min: 0, max: 65535 }),
    'listen-host': Flags.string({
      description: 'Address to listen on (over listen-host)',
      helpValue: 'ADDRESS',
    }),
    'log-level': Flags.integer({ char: 'd', description: '0..9: 2 info, 3 debug, 4 trace', min: 0, max: 9 }),
    'pid-file': Flags.string({
      description: 'Write the process id there (over pid-file)',
      helpValue: 'FILE',
    }),
    foreground: Flags.boolean({
      char: 'f',
      description: 'Accepted for ocserv command lines: it always stays there',
    }),
    'json-log': Flags.boolean({ description: 'Log JSON lines even on a terminal' }),
    secmod: Flags.boolean({
      description: 'Start the secmod process; with --no-secmod it runs by itself on socket-file',
      default: true,
      allowNo: true,
    }),
    workers: Flags.boolean({
      description: 'Listen on TCP and start workers; with --no-workers a supervisor runs "vpn worker --fd"',
      default: true,
      allowNo: true,
    }),
  };

  async run(): Promise<void> {
    const { flags } = await this.parse(Serve);
    const { runServe } = await import('../core/main/serve.js');
    const status = await runServe({
      config: flags.config,
      dataDir: flags['data-dir'],
      runDir: flags['run-dir'],
      port: flags.port,
      udpPort: flags['udp-port'],
      listenHost: flags['listen-host'],
      logLevel: flags['log-level'],
      pidFile: flags['pid-file'],
      jsonLog: flags['json-log'],
      secmod: flags.secmod,
      workers: flags.workers,
    });
    // Timers of libraries must not keep a stopped server alive.
    process.exit(status);
  }
}
