/** Traffic through an open tunnel, and what it costs. */
import type { Host } from '../support/lab.ts';
import { type Direction, type IperfRequest, iperf, pingTimes } from './iperf.ts';
import type { Measurement } from './metrics.ts';
import { deviceBytes, udpCounters } from './network.ts';
import { quantile } from './statistics.ts';
import type { Meter } from './usage.ts';

/** An open tunnel and the server behind it. */
export interface Bench {
  readonly client: Host;
  readonly server: Host;
  /** The client's tun device. */
  readonly device: string;
  readonly meter: Meter;
  readonly seconds: number;
  /** Congestion control of the traffic inside. */
  readonly congestion: string;
}

const GB = 1e9;
export const SMALL_DATAGRAM = 200;
/** Packets a second. Twice what one core of ocserv forwards would be loss only. */
export const SMALL_RATE = 20_000;

export async function bulk(
  bench: Bench,
  request: Omit<IperfRequest, 'seconds' | 'congestion'>,
): Promise<Measurement> {
  const { client, server, device, meter, seconds, congestion } = bench;
  const outerBefore = await deviceBytes(server, 'wan0');
  const innerBefore = await deviceBytes(client, device);
  const down = request.direction === 'down';
  const receiver = down ? client : server;
  const udpBefore = await udpCounters(receiver);
  const cpuBefore = meter.cpuSeconds();
  const result = await iperf(client, { ...request, seconds, congestion });
  const cpu = meter.cpuSeconds() - cpuBefore;
  const udp = await udpCounters(receiver);
  const inner = await deviceBytes(client, device);
  const outer = await deviceBytes(server, 'wan0');
  const tunnelBytes = down ? inner.received - innerBefore.received : inner.sent - innerBefore.sent;
  const outerBytes = down ? outer.sent - outerBefore.sent : outer.received - outerBefore.received;
  const lost = udp.lost - udpBefore.lost;
  const arrived = udp.received - udpBefore.received;
  return {
    mbit: (result.bytes * 8) / result.seconds / 1e6,
    cpuPerGb: cpu / (result.bytes / GB),
    cpuPerTunnelGb: cpu / (tunnelBytes / GB),
    wirePerGoodput: outerBytes / result.bytes,
    ...(arrived > 100 ? { lostShare: (100 * lost) / (lost + arrived) } : {}),
  };
}

export async function small({ client, meter, seconds }: Bench, direction: Direction): Promise<Measurement> {
  const cpuBefore = meter.cpuSeconds();
  const megabits = (SMALL_RATE * SMALL_DATAGRAM * 8) / 1e6;
  const request = { direction, seconds, datagram: SMALL_DATAGRAM, megabits };
  const { packets } = await iperf(client, request);
  const cpu = meter.cpuSeconds() - cpuBefore;
  return { packetsPerCpu: packets / cpu, arrivedShare: (100 * packets) / (SMALL_RATE * seconds) };
}

export async function pings({ client, seconds }: Bench): Promise<Measurement> {
  const times = await pingTimes(client, seconds);
  return { pingP50: quantile(times, 0.5), pingP99: quantile(times, 0.99) };
}

/** Beside TCP down through the same tunnel, or `to` another address through another one. */
export async function pingsUnderLoad(
  bench: Bench,
  load: Pick<IperfRequest, 'to' | 'megabits'> = {},
): Promise<Measurement> {
  const { client, seconds, congestion } = bench;
  const [measured, { bytes, seconds: took }] = await Promise.all([
    pings(bench),
    iperf(client, { direction: 'down', seconds, congestion, ...load }),
  ]);
  return { ...measured, mbit: (bytes * 8) / took / 1e6 };
}

/** The bottleneck's own queue. */
const LINE_QUEUE = '50ms';

/** While the way to the client is a line of so many Mbit/s. */
export async function throughLine<T>(
  { server }: Bench,
  megabits: number,
  measure: () => Promise<T>,
): Promise<T> {
  const line = ['tbf', 'rate', `${megabits}mbit`, 'burst', '16k', 'latency', LINE_QUEUE];
  await server.must(['tc', 'qdisc', 'add', 'dev', 'wan0', 'root', ...line]);
  try {
    return await measure();
  } finally {
    await server.must(['tc', 'qdisc', 'del', 'dev', 'wan0', 'root']);
  }
}
