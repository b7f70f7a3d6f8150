/**
 * systemd as process 1 on the lab's server host, with the units of deploy/systemd installed as docs/deployment.md says.
 * Nothing of it is emulated but the machine: systemd-machine.sh.
 */
import {
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmdirSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import type { Lab } from './lab.ts';
import { configFile, runFolder } from './ocvpn.ts';
import type { Companion, RunResult } from './process.ts';
import type { ServerOptions } from './server.ts';
import { until } from './wait.ts';

const project = join(import.meta.dirname, '../..');
const units = join(project, 'deploy/systemd');

export class Machine {
  /** Everything that services and systemd say. */
  readonly journal: Companion;
  readonly #lab: Lab;
  readonly #pid: number;

  constructor(lab: Lab, pid: number) {
    this.#lab = lab;
    this.#pid = pid;
    this.journal = lab.server.start('journal', this.#inside('journalctl', '-f', '-n', 'all', '-o', 'cat'));
  }

  /** Runs a command on the machine. */
  run(...command: string[]): Promise<RunResult> {
    return this.#lab.server.run(this.#inside(...command));
  }

  /** Runs a command on the machine that must succeed. */
  must(...command: string[]): Promise<string> {
    return this.#lab.server.must(this.#inside(...command));
  }

  /** Where a file of the machine is for others. */
  path(name: string): string {
    return `/proc/${this.#pid}/root${name}`;
  }

  #inside(...command: string[]): string[] {
    const own = [
      'nsenter',
      '-t',
      String(this.#pid),
      '--mount',
      '--pid',
      '--uts',
      '--ipc',
      '--cgroup',
      '--root',
      '--wd',
    ];
    return [...own, '--', 'env', '-i', 'PATH=/usr/sbin:/usr/bin:/sbin:/bin', ...command];
  }
}

/** Options in ocserv's format, with the paths of the lab as they are on the machine. */
function confOf(lab: Lab): string {
  const text = readFileSync(configFile(lab), 'utf8').replaceAll(lab.folder, '/etc/vpn');
  const options = Object.entries(JSON.parse(text) as ServerOptions).filter(([name]) => name !== 'vhosts');
  const lines = options.flatMap(([name, value]) =>
    (Array.isArray(value) ? value : [value]).map((one) => `${name} = ${JSON.stringify(one)}\n`),
  );
  return lines.join('');
}

/**
 * Boots the machine with the units enabled, the lab's configuration and its files in /etc/vpn, and `files` (by path below
 * /etc, executable). The lab's run folder becomes the machine's, so that `vpn ctl` finds the server.
 */
export async function bootMachine(lab: Lab, files: Readonly<Record<string, string>>): Promise<Machine> {
  const root = join(lab.folder, 'machine');
  const etc = `${root}.etc`;
  const system = join(etc, 'systemd/system');
  mkdirSync(root);
  for (const wants of ['multi-user.target.wants', 'sockets.target.wants'])
    mkdirSync(join(system, wants), { recursive: true });
  cpSync(units, system, { recursive: true, filter: (path) => !/\.d$|per-connection/.test(path) });
  for (const folder of ['sysusers.d', 'tmpfiles.d'])
    cpSync(join(units, folder), join(etc, folder), { recursive: true });
  for (const unit of ['vpn.service', 'vpn-secmod.service'])
    symlinkSync(`../${unit}`, join(system, 'multi-user.target.wants', unit));
  symlinkSync('../vpn.socket', join(system, 'sockets.target.wants/vpn.socket'));
  mkdirSync(join(etc, 'vpn'));
  for (const entry of readdirSync(lab.folder, { withFileTypes: true }))
    if (entry.isFile()) cpSync(join(lab.folder, entry.name), join(etc, 'vpn', entry.name));
  writeFileSync(join(etc, 'vpn/vpn.conf'), confOf(lab));
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(join(etc, name, '..'), { recursive: true });
    writeFileSync(join(etc, name), text, { mode: 0o755 });
  }
  const script = join(project, 'test/support/systemd-machine.sh');
  const [, pid = ''] = await lab.server.start('machine', [script, root, project]).waitFor(/^process (\d+)$/m);
  rmdirSync(runFolder(lab));
  symlinkSync(`/proc/${pid}/root/run/vpn`, runFolder(lab));
  // A reader that comes before the first journal does not find it later.
  const journals = `/proc/${pid}/root/run/log/journal`;
  await until(
    'the journal',
    () => existsSync(journals) && readdirSync(journals, { recursive: true }).length > 1,
  );
  return new Machine(lab, Number(pid));
}

/** Lays the drop-ins of a folder beside the units over them. */
export async function useDropIns(machine: Machine, folder: string): Promise<void> {
  cpSync(join(units, folder), machine.path('/etc/systemd/system'), { recursive: true });
  await machine.must('systemctl', 'daemon-reload');
}
