/** Debian's ocserv as a server of the lab: the behaviour to match. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { run } from './process.ts';
import type { ConnectedUser, ServerOptions, ServerSetup, VpnServer } from './server.ts';

/** Options of ours that 1.1.6 does not know, and our names for what it knows under another. */
const unknown = new Set([
  'worker-clients',
  'spare-workers',
  'offload',
  'ack-filter',
  'nat',
  'listen-host',
  'ban-time',
]);

function write(options: ServerOptions): string {
  const lines: string[] = [];
  for (const [name, value] of Object.entries(options)) {
    if (unknown.has(name)) continue;
    for (const one of Array.isArray(value) ? value : [value]) lines.push(`${name} = ${JSON.stringify(one)}`);
  }
  return `${lines.join('\n')}\n`;
}

interface OcctlUser {
  ID: number;
  Username: string;
  Groupname: string;
  State: string;
  Device: string;
  MTU: string;
  'Remote IP': string;
  IPv4?: string;
  IPv6?: string;
  /** Absent where occtl sees no such device. */
  RX?: string;
  TX?: string;
  'TLS ciphersuite': string;
  'DTLS cipher'?: string;
}

function toUser(found: OcctlUser): ConnectedUser {
  return {
    id: found.ID,
    name: found.Username,
    group: found.Groupname === '(none)' ? '' : found.Groupname,
    device: found.Device,
    mtu: Number(found.MTU),
    remote: found['Remote IP'],
    ipv4: found.IPv4 ?? '',
    ipv6: found.IPv6 ?? '',
    tlsCipher: found['TLS ciphersuite'],
    dtlsCipher: found['DTLS cipher'] ?? '',
    bytesFromClient: Number(found.RX ?? 0),
    bytesToClient: Number(found.TX ?? 0),
  };
}

export async function startOcserv({ lab, options, pins, ocserv }: ServerSetup): Promise<VpnServer> {
  mkdirSync(`${lab.folder}/run`, { mode: 0o755 });
  const control = `${lab.folder}/run/occtl.sock`;
  const config = `${lab.folder}/ocserv.conf`;
  const own: ServerOptions = {
    'socket-file': `${lab.folder}/run/sock`,
    'occtl-socket-file': control,
    'use-occtl': true,
    'pid-file': `${lab.folder}/run/pid`,
    'isolate-workers': false,
    'cisco-client-compat': true,
    'dtls-legacy': true,
    'predictable-ips': true,
  };
  writeFileSync(config, write({ ...own, ...options }));
  const server = lab.server.start('ocserv', [ocserv.binary, '-f', '-d', `${ocserv.debug}`, '-c', config]);
  const occtl = ['occtl', '-s', control];
  return {
    kind: 'ocserv',
    process: server,
    pins,
    users: async () => {
      // On the server's machine: occtl itself asks the kernel what went through a user's device.
      const all = JSON.parse(await lab.server.must([...occtl, '-j', 'show', 'users'])) as OcctlUser[];
      return all.filter((user) => user.State === 'connected').map(toUser);
    },
    disconnectUser: async (name) => (await run([...occtl, 'disconnect', 'user', name])).code === 0,
    stop: async () => {
      await server.stop('SIGTERM', 10_000);
    },
  };
}
