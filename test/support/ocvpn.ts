/** Our server as a server of the lab, started and controlled as an administrator would. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { UserData } from '../../src/core/control/results.js';
import { must, run } from './process.ts';
import type { ConnectedUser, ServerSetup, VpnServer } from './server.ts';

const launcher = join(import.meta.dirname, '../../bin/run.js');

function toUser({ id, workerPid, remoteIp, session }: UserData): ConnectedUser[] {
  if (!session) return [];
  return [
    {
      id,
      workerPid,
      name: session.userName,
      group: session.groupName,
      device: session.device,
      mtu: session.mtu,
      remote: remoteIp,
      ipv4: session.ipv4 ?? '',
      ipv6: session.ipv6 ?? '',
      tlsCipher: session.tlsCiphersuite,
      dtlsCipher: session.dtlsCipher,
      bytesFromClient: session.rxBytes,
      bytesToClient: session.txBytes,
    },
  ];
}

/** `ip netns exec` gives the command mounts of its own, so nobody else sees this one. */
const withEtc = (folder?: string): string[] =>
  folder === undefined ? [] : ['sh', '-c', 'mount --bind "$0" /etc && exec "$@"', folder];

export async function startOcvpn({ lab, options, vhosts, pins, etc }: ServerSetup): Promise<VpnServer> {
  const runFolder = `${lab.folder}/run`;
  const config = `${lab.folder}/vpn.config.json`;
  mkdirSync(runFolder, { mode: 0o755 });
  writeFileSync(config, JSON.stringify({ ...options, vhosts }, null, 2));
  const vpn = [process.execPath, launcher];
  const folders = ['--data-dir', `${lab.folder}/data`, '--run-dir', runFolder];
  const server = lab.server.start('vpn', [...withEtc(etc), ...vpn, 'serve', '-c', config, ...folders]);
  await server.waitFor(/vpn is ready/);
  const ctl = (...words: string[]): string[] => [...vpn, 'ctl', ...words, '--run-dir', runFolder];
  return {
    kind: 'ocvpn',
    process: server,
    pins,
    users: async () => {
      const all = JSON.parse(await must(ctl('show', 'users', '--json'))) as UserData[];
      return all.flatMap(toUser);
    },
    disconnectUser: async (name) => (await run(ctl('disconnect', 'user', name))).code === 0,
    stop: async () => {
      await server.stop('SIGTERM', 10_000);
    },
  };
}
