/** Clients that open tunnels for the cases. */
import { join } from 'node:path';
import { inside, type Lab, outside } from '../support/lab.ts';
import { connect } from '../support/openconnect.ts';
import { must } from '../support/process.ts';
import { defaultUsers, type VpnServer } from '../support/server.ts';
import type { TunnelKind } from './cases.ts';
import type { CrowdRequest, OpenCrowd } from './crowd.ts';
import type { Identity } from './identity.ts';
import { routeInside, SECOND_INNER } from './network.ts';

const folder = join(import.meta.dirname, 'client');
const binary = join(folder, 'build/bench-client');
const [user = { name: '', password: '' }] = defaultUsers;
const DEVICE = 'tun0';
const SECOND_DEVICE = 'tun1';

export interface Tunnel {
  readonly device: string;
  close(): Promise<void>;
}

/** Compiles the batched client if it is not up to date. */
export async function buildBatchedClient(): Promise<void> {
  await must(['make', '-s', '-j2', '-C', folder, `NODE=${process.execPath}`], { timeoutMs: 300_000 });
}

async function openStock(lab: Lab, server: VpnServer, dtls: boolean): Promise<Tunnel> {
  const client = await connect(lab, server, dtls ? {} : { args: ['--no-dtls'] });
  if (dtls) await client.dtls();
  return {
    device: client.device,
    close: async () => {
      await client.end('SIGINT');
    },
  };
}

/** A command line of the batched client, and what it reads. */
export function batchedCommand(...args: readonly string[]): { command: string[]; input: string } {
  const target = ['--server', outside.server4, '--port', '443', '--user', user.name];
  return { command: [binary, ...target, ...args], input: `${user.password}\n` };
}

async function openBatched(lab: Lab, dtls: boolean, device = DEVICE, net?: string): Promise<Tunnel> {
  const { command, input } = batchedCommand('--device', device, ...(dtls ? [] : ['--no-dtls']));
  const client = lab.client().start('bench-client', command, { input });
  const [, address, mtu, transport] = await client.waitFor(/^connected (\S+) mtu (\d+) over (\S+)$/m);
  if (transport !== (dtls ? 'DTLS' : 'TLS')) throw new Error(`the batched client uses ${transport}`);
  await lab.client().ip(`addr add ${address}/32 dev ${device}`, `link set ${device} up mtu ${mtu}`);
  await routeInside(lab.client(), device, net);
  return {
    device,
    close: async () => {
      await client.stop('SIGINT');
    },
  };
}

/** Opens a tunnel and waits until it carries data over the wanted transport. */
export function openTunnel(lab: Lab, server: VpnServer, kind: TunnelKind): Promise<Tunnel> {
  const dtls = kind.endsWith('-dtls');
  return kind.startsWith('stock-') ? openStock(lab, server, dtls) : openBatched(lab, dtls);
}

/** Opens a second tunnel with DTLS beside another one; it leads to SECOND_INNER only. */
export function openSecond(lab: Lab): Promise<Tunnel> {
  return openBatched(lab, true, SECOND_DEVICE, `${SECOND_INNER}/32`);
}

/** Opens sessions from one process; calls `held` while they are open. Returns the seconds that opening took. */
export async function openCrowd(
  lab: Lab,
  {
    clients,
    dtls,
    on = 0,
    dpd = 0,
    active = 0,
    identity,
  }: CrowdRequest & { identity?: Identity | undefined },
  held: (crowd: OpenCrowd) => Promise<void>,
): Promise<number> {
  const { command, input } = batchedCommand(
    ...['--clients', `${clients}`],
    ...(dtls ? [] : ['--no-dtls']),
    ...(identity ? ['--certificate', identity.certificate, '--key', identity.key] : []),
    ...(dpd > 0 ? ['--dpd', `${dpd}`] : []),
    ...(active > 0 ? ['--active', `${active}`, '--target', inside.host4] : []),
  );
  const crowd = lab.client(on).start('bench-client', command, { input });
  const timeoutMs = 30_000 + clients * 500;
  const [, seconds] = await crowd.waitFor(/^opened \d+ in ([\d.]+) s$/m, { timeoutMs });
  await held({
    startTraffic: () => crowd.signal('SIGUSR1'),
    stopTraffic: async () => {
      crowd.signal('SIGUSR2');
      const told = await crowd.waitFor(/^echo (\d+) of (\d+) dpd (\d+) of (\d+) asked \d+ ended (\d+)$/m);
      const [echoes = 0, echoesSent = 0, dpds = 0, dpdsSent = 0, ended = 0] = told.slice(1).map(Number);
      const echo = { answered: echoes, sent: echoesSent };
      return { echo, dpd: { answered: dpds, sent: dpdsSent }, ended };
    },
  });
  await crowd.stop('SIGINT', 10_000 + clients * 10);
  return Number(seconds);
}
