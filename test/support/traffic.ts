/** Traffic through the tunnel: reachability, volume both ways, sizes. */
import { join } from 'node:path';
import { expect } from 'vitest';
import { type Host, inside, type Lab } from './lab.ts';
import type { Openconnect } from './openconnect.ts';
import type { Companion } from './process.ts';
import { until } from './wait.ts';

export interface PingResult {
  readonly sent: number;
  readonly received: number;
}
export interface PingRequest {
  readonly count?: number;
  /** Bytes of ICMP payload. */
  readonly size?: number;
  /** Forbid fragmentation, also at the sender. */
  readonly whole?: boolean;
  /** Seconds between two. */
  readonly interval?: number;
}

/** Pings `target` (either family) from `host`. */
export async function ping(
  host: Host,
  target: string,
  { count = 5, size = 56, whole = false, interval = 0.1 }: PingRequest = {},
): Promise<PingResult> {
  const args = ['-n', '-D', '-c', `${count}`, '-i', `${interval}`, '-W', '2', '-s', `${size}`];
  const { stdout, stderr } = await host.run(['ping', ...args, ...(whole ? ['-M', 'do'] : []), target]);
  const found = /(\d+) packets transmitted, (\d+) received/.exec(stdout);
  if (!found) throw new Error(`ping said: ${stdout}${stderr}`);
  const result = { sent: Number(found[1]), received: Number(found[2]) };
  // Which ones are missing says more than how many.
  if (result.received > 0 && result.received < result.sent) console.error(`${host.name}: ${stdout}`);
  return result;
}

/** Pings until one answer comes. */
export async function reachable(host: Host, target: string, timeoutMs = 20_000): Promise<void> {
  const answered = async (): Promise<boolean> => (await ping(host, target, { count: 1 })).received === 1;
  await until(`${target} to answer ${host.name}`, answered, { timeoutMs });
}

/** Answers so far, by number. */
const answers = (pinging: Companion): number[] =>
  [...pinging.output.matchAll(/icmp_seq=(\d+) ttl/g)].map(([, seq]) => Number(seq));

/** 50 pings a second through the tunnel, answered already. */
export async function pinging(client: Pick<Openconnect, 'host'>): Promise<Companion> {
  await reachable(client.host, inside.host4);
  const running = client.host.start('ping', ['ping', '-n', '-i', '0.02', inside.host4]);
  await running.waitFor(/icmp_seq=10 /);
  return running;
}

/** Waits for `count` further answers. */
export async function answeredAfter(running: Companion, count: number): Promise<void> {
  const enough = answers(running).length + count;
  await until(`${count} more answers`, () => answers(running).length >= enough);
}

/** Every ping since the beginning was answered, and they still are: 25 more from now. */
export async function expectNothingLost(running: Companion): Promise<void> {
  await answeredAfter(running, 25);
  const seen = answers(running);
  const missing = Array.from({ length: Math.max(...seen) }, (_, index) => index + 1).filter(
    (seq) => !seen.includes(seq),
  );
  expect(missing).toEqual([]);
}

/** Starts an iperf3 server on the host behind the VPN server. */
export async function iperfServer(lab: Lab): Promise<Companion> {
  const server = lab.inner.start('iperf3', ['iperf3', '-s', '--forceflush']);
  await server.waitFor(/Server listening/);
  return server;
}

/**
 * Moves about 10 MB over TCP with iperf3 from the client's host to the host behind the server ('up') or back
 * ('down'); returns bits per second at the receiver. Needs a running iperfServer.
 * @throws Error with iperf's word when it did not get through in 60 s
 */
export async function throughput(host: Host, direction: 'up' | 'down'): Promise<number> {
  const megabytes = 10;
  const args = ['-c', inside.host4, '-J', '-n', `${megabytes}M`, '--connect-timeout', '5000'];
  const { stdout } = await host.run(['iperf3', ...args, ...(direction === 'down' ? ['-R'] : [])], {
    timeoutMs: 60_000,
  });
  const report = JSON.parse(stdout) as {
    error?: string;
    end?: { sum_received?: { bytes: number; bits_per_second: number } };
  };
  const sum = report.end?.sum_received;
  if (report.error || !sum) throw new Error(`iperf3 ${direction}: ${report.error ?? stdout}`);
  // iperf3 counts until the sender says that it is done: a part may still be under way.
  if (sum.bytes < (megabytes * 1024 * 1024) / 2)
    throw new Error(`iperf3 ${direction}: only ${sum.bytes} bytes arrived`);
  return sum.bits_per_second;
}

const PEER_PORT = 7000;
const peer = join(import.meta.dirname, 'tcp-peer.ts');

/** Starts the far end of `transfer` on the host behind the VPN server. */
export async function transferServer(lab: Lab): Promise<Companion> {
  const server = lab.inner.start('tcp-peer', [process.execPath, peer, 'serve', `${PEER_PORT}`]);
  await server.waitFor(/^ready$/m);
  return server;
}

/**
 * Moves random bytes over TCP and compares the hashes of both ends. `far` is the running transferServer.
 * @throws Error when they differ or the transfer did not end in 60 s
 */
export async function transfer(
  host: Host,
  far: Companion,
  direction: 'up' | 'down',
  { bytes = 4_000_000, target = inside.host4 } = {},
): Promise<void> {
  const from = far.output.length;
  const near = await host.must([process.execPath, peer, direction, target, `${PEER_PORT}`, `${bytes}`]);
  const [, hash] = await far.waitFor(/^([0-9a-f]{64})$/m, { from });
  if (near.trim() !== hash) throw new Error(`${direction}: ${bytes} bytes arrived changed`);
}
