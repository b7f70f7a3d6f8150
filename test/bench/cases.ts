/** The cases: what traffic runs through which tunnel, and what is measured. */
import type { Host } from '../support/lab.ts';
import { type Direction, type IperfRequest, iperf, pingTimes } from './iperf.ts';
import type { Measurement } from './metrics.ts';
import { deviceBytes, SECOND_INNER, udpCounters } from './network.ts';
import { scale } from './scale.ts';
import { quantile } from './statistics.ts';
import { type Meter, settled } from './usage.ts';

/** Who opens the tunnel, and its transport. */
export type TunnelKind = 'stock-dtls' | 'stock-tls' | 'batched-dtls' | 'batched-tls';

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

export interface CrowdRequest {
  readonly clients: number;
  readonly dtls: boolean;
  /** Number of the client host, 0 if not given. */
  readonly on?: number;
  /** Seconds between two liveness requests of a client over each channel; none if not given. */
  readonly dpd?: number;
  /** Clients that can be made to send echo requests to the host behind the server. */
  readonly active?: number;
}

/** Packets that clients sent since they were connected, and the answers that came. */
export interface Answered {
  readonly sent: number;
  readonly answered: number;
}

/** Clients that are connected. */
export interface OpenCrowd {
  startTraffic(): void;
  /** No more requests are sent; resolves when no answer is missing, or none has come for long. */
  stopTraffic(): Promise<{ echo: Answered; dpd: Answered; ended: number }>;
}

/** A server without a tunnel, for cases that open their own. */
export interface Crowd {
  readonly meter: Meter;
  readonly clients: number;
  readonly seconds: number;
  /** Sessions that the control command of the server lists, and that its status tells. */
  listed(): Promise<number>;
  status(): Promise<number>;
  /** Opens that many sessions and calls `held` while they are open; returns the seconds that opening took. */
  open(request: CrowdRequest, held: (crowd: OpenCrowd) => Promise<void>): Promise<number>;
}

interface CaseBase {
  readonly name: string;
  readonly about: string;
  readonly byDefault: boolean;
}
export interface TunnelCase extends CaseBase {
  readonly tunnel: TunnelKind;
  /** A second session of the same server is open meanwhile: the batched client over DTLS, to SECOND_INNER. */
  readonly second?: true;
  readonly freshServer?: false;
  readonly measure: (bench: Bench) => Promise<Measurement>;
}
export interface CrowdCase extends CaseBase {
  readonly tunnel: undefined;
  /** Measured on a server that has served nobody before: memory that an earlier crowd left would be used again. */
  readonly freshServer: boolean;
  readonly measure: (crowd: Crowd) => Promise<Measurement>;
}
export type Case = TunnelCase | CrowdCase;

const GB = 1e9;
const SMALL_DATAGRAM = 200;
/** Twice what one core of ocserv forwards would be loss only: 20,000 packets a second. */
const SMALL_MEGABITS = 32;

async function bulk(
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

async function small({ client, meter, seconds }: Bench, direction: Direction): Promise<Measurement> {
  const cpuBefore = meter.cpuSeconds();
  const request = { direction, seconds, datagram: SMALL_DATAGRAM, megabits: SMALL_MEGABITS };
  const { packets } = await iperf(client, request);
  const cpu = meter.cpuSeconds() - cpuBefore;
  const sent = (SMALL_MEGABITS * 1e6 * seconds) / 8 / SMALL_DATAGRAM;
  return { packetsPerCpu: packets / cpu, arrivedShare: (100 * packets) / sent };
}

async function pings({ client, seconds }: Bench): Promise<Measurement> {
  const times = await pingTimes(client, seconds);
  return { pingP50: quantile(times, 0.5), pingP99: quantile(times, 0.99) };
}

/** Beside TCP down through the same tunnel, or `to` another address through another one. */
async function pingsUnderLoad(bench: Bench, to?: string): Promise<Measurement> {
  const { client, seconds, congestion } = bench;
  const [measured, { bytes, seconds: took }] = await Promise.all([
    pings(bench),
    iperf(client, { direction: 'down', seconds, congestion, ...(to === undefined ? {} : { to }) }),
  ]);
  return { ...measured, mbit: (bytes * 8) / took / 1e6 };
}

async function logins({ meter, clients, open }: Crowd): Promise<Measurement> {
  const before = meter.cpuSeconds();
  let cpu = 0;
  const seconds = await open({ clients, dtls: false }, async () => {
    cpu = meter.cpuSeconds() - before;
  });
  return { loginsPerSecond: clients / seconds, cpuPerLogin: (1000 * cpu) / clients };
}

/** Sessions that are open meanwhile, so that what is made once (caches, warm workers) is in neither reading. */
const FIRST_CLIENTS = 5;

async function memory({ meter, clients, open }: Crowd): Promise<Measurement> {
  let before: number | undefined;
  let after: number | undefined;
  await open({ clients: FIRST_CLIENTS, dtls: true }, async () => {
    before = await settled(() => meter.memoryBytes());
    await open({ clients, dtls: true }, async () => {
      after = await settled(() => meter.memoryBytes());
    });
  });
  if (before === undefined || after === undefined) return {};
  return { kbPerClient: (after - before) / clients / 1024 };
}

function bulkCases(tunnel: TunnelKind, byDefault: boolean): TunnelCase[] {
  const [client = '', transport = ''] = tunnel.split('-');
  const prefix = client === 'stock' ? transport : tunnel;
  const who = client === 'stock' ? 'stock openconnect' : 'the batched client';
  return (['down', 'up'] as const).map((direction) => ({
    name: `${prefix}-${direction}`,
    about: `TCP ${direction} over ${transport.toUpperCase()}, ${who}`,
    byDefault,
    tunnel,
    measure: (bench) => bulk(bench, { direction }),
  }));
}

export const cases: readonly Case[] = [
  ...bulkCases('stock-dtls', true),
  {
    name: 'dtls-paced',
    about: 'TCP down over DTLS at 200 Mbit/s, stock openconnect: what is lost on the way',
    byDefault: true,
    tunnel: 'stock-dtls',
    measure: (bench) => bulk(bench, { direction: 'down', megabits: 200 }),
  },
  ...(['down', 'up'] as const).map(
    (direction): TunnelCase => ({
      name: `small-${direction}`,
      about: `UDP of ${SMALL_DATAGRAM} bytes ${direction} over DTLS, stock openconnect`,
      byDefault: true,
      tunnel: 'stock-dtls',
      measure: (bench) => small(bench, direction),
    }),
  ),
  {
    name: 'ping-idle',
    about: 'round trips over DTLS, nothing else',
    byDefault: true,
    tunnel: 'stock-dtls',
    measure: pings,
  },
  {
    name: 'ping-load',
    about: 'round trips over DTLS beside TCP down',
    byDefault: true,
    tunnel: 'stock-dtls',
    measure: (bench) => pingsUnderLoad(bench),
  },
  {
    name: 'starve',
    about: 'round trips over DTLS beside TCP down of another session (the batched client)',
    byDefault: true,
    tunnel: 'stock-dtls',
    second: true,
    measure: (bench) => pingsUnderLoad(bench, SECOND_INNER),
  },
  ...bulkCases('stock-tls', true),
  ...bulkCases('batched-dtls', true),
  ...bulkCases('batched-tls', true),
  {
    name: 'logins',
    about: 'logins with CONNECT, four at a time, ECDSA certificate',
    byDefault: true,
    tunnel: undefined,
    freshServer: false,
    measure: logins,
  },
  {
    name: 'memory',
    about: 'sessions with DTLS at the same time',
    byDefault: true,
    tunnel: undefined,
    freshServer: true,
    measure: memory,
  },
  {
    name: 'scale',
    about:
      '--clients sessions with DTLS at rest for --seconds, then a tenth active: CPU, memory, commands, answers',
    byDefault: false,
    tunnel: undefined,
    freshServer: true,
    measure: scale,
  },
];
