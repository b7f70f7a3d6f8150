/**
 * The systemd units of deploy/systemd, started without systemd: their command lines, users, capabilities and sockets, with
 * the paths of a lab in place of the system's.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Lab } from './lab.ts';
import { configFile, dataFolder, launcher, runFolder } from './ocvpn.ts';
import type { Companion } from './process.ts';

const folder = join(import.meta.dirname, '../../deploy/systemd');
const manager = join(import.meta.dirname, 'service-manager.py');

/** Values of each key, a key for each `[Section] Key`; an empty value forgets the earlier ones (systemd.syntax(7)). */
export type Unit = ReadonlyMap<string, readonly string[]>;

/** The unit with the drop-ins of `variant` (a folder beside it). */
export function readUnit(name: string, variant?: string): Unit {
  const dropIns = join(folder, variant ?? '', `${name}.d`);
  const files = [join(folder, name)];
  if (existsSync(dropIns)) files.push(...readdirSync(dropIns).map((file) => join(dropIns, file)));
  const unit = new Map<string, string[]>();
  for (const file of files) addLines(unit, readFileSync(file, 'utf8'));
  return unit;
}

function addLines(unit: Map<string, string[]>, text: string): void {
  let section = '';
  for (const line of text.split('\n')) {
    const [, header, key = '', value = ''] = /^(?:\[(\w+)\]|([A-Za-z]\w*)=(.*))$/.exec(line) ?? [];
    if (header !== undefined) section = header;
    else if (key !== '') {
      const name = `[${section}] ${key}`;
      // An empty Listen…= forgets the sockets of every kind (systemd.socket(5)).
      const forgotten = key.startsWith('Listen')
        ? [...unit.keys()].filter((each) => /\] Listen/.test(each))
        : [name];
      if (value === '') for (const each of forgotten) unit.set(each, []);
      else unit.set(name, [...(unit.get(name) ?? []), value]);
    }
  }
}

export const last = (unit: Unit, key: string): string | undefined => unit.get(key)?.at(-1);

export interface StartedUnit {
  readonly process: Companion;
  /** What it told its service manager, a line for each message. */
  readonly notified: Companion | null;
}

/** Starts the service as systemd would; `socket`: with the sockets of this unit, and again when it ends. */
export async function startUnit(
  lab: Lab,
  service: string,
  { socket, variant }: { readonly socket?: string; readonly variant?: string } = {},
): Promise<StartedUnit> {
  const unit = readUnit(service, variant);
  const env: Record<string, string> = {};
  let notified: Companion | null = null;
  if (last(unit, '[Service] Type') === 'notify') {
    env.NOTIFY_SOCKET = join(lab.folder, `${service}.${Math.random().toString(36).slice(2)}.notify`);
    env.WATCHDOG_USEC = String(Number.parseInt(last(unit, '[Service] WatchdogSec') ?? '0', 10) * 1e6);
    notified = lab.server.start(`${service} notify`, ['python3', manager, 'notify', env.NOTIFY_SOCKET]);
    await notified.waitFor(/^listening$/m);
  }
  const command = [...confinement(unit), ...commandOf(lab, unit)];
  const passed = socket === undefined ? command : passing(readUnit(socket, variant), command);
  return { process: lab.server.start(service, passed, { env }), notified };
}

/** setpriv(1) with the unit's user, capabilities and no_new_privs. */
function confinement(unit: Unit): string[] {
  const user = last(unit, '[Service] User');
  const capabilities = (unit.get('[Service] CapabilityBoundingSet') ?? [])
    .flatMap((line) => line.split(' '))
    .map((name) => `+${name.replace('CAP_', '').toLowerCase()}`);
  return [
    'setpriv',
    `--bounding-set=${['-all', ...capabilities].join(',')}`,
    // A lab's workers run as nobody.
    ...(user === undefined ? [] : ['--reuid=nobody', '--regid=nogroup', '--clear-groups']),
    ...(last(unit, '[Service] NoNewPrivileges') === 'yes' ? ['--no-new-privs'] : []),
  ];
}

/** ExecStart with the lab's paths. */
function commandOf(lab: Lab, unit: Unit): string[] {
  const paths: Record<string, readonly string[]> = {
    '/opt/ocvpn/bin/vpn': [process.execPath, launcher],
    '/etc/vpn/vpn.conf': [configFile(lab)],
    '/var/lib/vpn': [dataFolder(lab)],
    '/run/vpn': [runFolder(lab)],
    '/run/vpn/main.sock': [join(runFolder(lab), 'main.sock')],
  };
  return (last(unit, '[Service] ExecStart') ?? '').split(' ').flatMap((word) => paths[word] ?? [word]);
}

/** The command with the sockets of the unit; with Accept=yes once for each connection. */
function passing(unit: Unit, command: readonly string[]): string[] {
  const tcp = unit.get('[Socket] ListenStream') ?? [];
  const udp = unit.get('[Socket] ListenDatagram') ?? [];
  if (last(unit, '[Socket] Accept') === 'yes')
    return ['python3', manager, 'accept', ...tcp, '--', ...command];
  const specs = [...tcp.map((port) => `tcp:${port}`), ...udp.map((port) => `udp:${port}`)];
  return ['python3', manager, 'keep', ...specs, '--', ...command];
}
