/** Our server as a server of the lab, started and controlled as an administrator would. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { must, run } from './process.ts';
import type { ConnectedUser, ServerSetup, VpnServer } from './server.ts';

const launcher = join(import.meta.dirname, '../../bin/run.js');

interface CtlUser {
  ID: number;
  Username: string;
  Groupname: string;
  State: string;
  Device: string;
  MTU: string | number;
  'Remote IP': string;
  IPv4?: string;
  IPv6?: string;
  /** Absent until the worker has reported. */
  RX?: string | number;
  TX?: string | number;
  'TLS ciphersuite': string;
  'DTLS cipher'?: string;
}

function toUser(found: CtlUser): ConnectedUser {
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

export async function startOcvpn({ lab, options, pins }: ServerSetup): Promise<VpnServer> {
  const runFolder = `${lab.folder}/run`;
  const config = `${lab.folder}/vpn.config.json`;
  mkdirSync(runFolder, { mode: 0o755 });
  writeFileSync(config, JSON.stringify(options, null, 2));
  const vpn = [process.execPath, launcher];
  const folders = ['--data-dir', `${lab.folder}/data`, '--run-dir', runFolder];
  const server = lab.server.start('vpn', [...vpn, 'serve', '-c', config, ...folders]);
  const ctl = (...words: string[]): string[] => [...vpn, 'ctl', ...words, '--run-dir', runFolder];
  return {
    kind: 'ocvpn',
    process: server,
    pins,
    users: async () => {
      const all = JSON.parse(await must(ctl('show', 'users', '--json'))) as CtlUser[];
      return all.filter((user) => user.State === 'connected').map(toUser);
    },
    disconnectUser: async (name) => (await run(ctl('disconnect', 'user', name))).code === 0,
    stop: async () => {
      await server.stop('SIGTERM', 10_000);
    },
  };
}
