/** Our server as a server of the lab, started and controlled as an administrator would. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { StatusData, UserData } from '../../src/core/control/results.js';
import type { Lab } from './lab.ts';
import { type Companion, must, run } from './process.ts';
import type { ConnectedUser, ServerSetup, VpnServer } from './server.ts';

export const launcher = join(import.meta.dirname, '../../bin/run.js');

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

const vpn = [process.execPath, launcher];
export const runFolder = (lab: Lab): string => `${lab.folder}/run`;
export const configFile = (lab: Lab): string => `${lab.folder}/vpn.config.json`;
export const dataFolder = (lab: Lab): string => `${lab.folder}/data`;

/** Command line of `vpn serve` with the lab's configuration and state. */
export const serveCommand = (lab: Lab, data = dataFolder(lab)): string[] => [
  ...vpn,
  ...['serve', '-c', configFile(lab), '--data-dir', data],
];

/** Starts main on the lab's run directory, also again after an earlier one, and waits until it is ready. */
export async function serveOcvpn(lab: Lab, etc?: string): Promise<Companion> {
  const command = [...serveCommand(lab), '--run-dir', runFolder(lab)];
  const server = lab.server.start('vpn', [...withEtc(etc), ...command]);
  await server.waitFor(/vpn is ready/);
  return server;
}

/** `vpn ctl show status` */
export async function statusOf(lab: Lab): Promise<StatusData> {
  const command = [...vpn, 'ctl', 'show', 'status', '--json', '--run-dir', runFolder(lab)];
  return JSON.parse(await must(command)) as StatusData;
}

/** `vpn ctl show users`: every connection, also those without a tunnel. */
export async function connectionsOf(lab: Lab): Promise<UserData[]> {
  const command = [...vpn, 'ctl', 'show', 'users', '--json', '--run-dir', runFolder(lab)];
  return JSON.parse(await must(command)) as UserData[];
}

export async function startOcvpn({
  lab,
  options,
  vhosts,
  pins,
  etc,
  launch,
}: ServerSetup): Promise<VpnServer> {
  mkdirSync(runFolder(lab), { mode: 0o755 });
  writeFileSync(configFile(lab), JSON.stringify({ ...options, vhosts }, null, 2));
  const server = await (launch?.(lab) ?? serveOcvpn(lab, etc));
  const ctl = (...words: string[]): string[] => [...vpn, 'ctl', ...words, '--run-dir', runFolder(lab)];
  return {
    kind: 'ocvpn',
    process: server,
    pins,
    users: async () => (await connectionsOf(lab)).flatMap(toUser),
    disconnectUser: async (name) => (await run(ctl('disconnect', 'user', name))).code === 0,
    stop: async () => {
      await server.stop('SIGTERM', 10_000);
    },
  };
}
