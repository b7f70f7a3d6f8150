import { Command, Flags } from '@oclif/core';

/** bin/run.js sends `vpn worker` to its entry without loading this file; it is here for the help. */
export default class Worker extends Command {
  static override summary = 'Serve connections for a running main process';
  static override description =
    `Connects to main, loads everything, gives its privileges up and waits for connections. "vpn serve" starts workers by \
itself; a supervisor starts them for connections that it has accepted, with "vpn serve --no-workers" beside them.`;
  static override examples = [
    '<%= config.bin %> worker --main /run/vpn/main.sock',
    '<%= config.bin %> worker --main /run/vpn/main.sock --fd 3',
  ];
  static override flags = {
    main: Flags.string({ required: true, description: "Path of main's socket", helpValue: 'PATH' }),
    fd: Flags.integer({ description: 'Inherited descriptor of the one connection to serve', min: 3 }),
    'log-level': Flags.integer({
      char: 'd',
      description: '0..9, until main has told the configuration',
      min: 0,
      max: 9,
    }),
  };

  async run(): Promise<void> {
    await this.parse(Worker);
    const { runWorker } = await import('../core/worker/entry.js');
    await runWorker(this.argv);
  }
}
