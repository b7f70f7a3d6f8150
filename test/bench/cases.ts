/** The cases: what traffic runs through which tunnel, and what is measured. */
import type { ServerOptions } from '../support/server.ts';
import type { Crowd } from './crowd.ts';
import { flat } from './flat.ts';
import { logins, loginsAmong, memory } from './logins.ts';
import type { Measured, Measurement } from './metrics.ts';
import { SECOND_INNER } from './network.ts';
import { scale } from './scale.ts';
import { type Bench, bulk, pings, pingsUnderLoad, SMALL_DATAGRAM, small, throughLine } from './traffic.ts';

/** Who opens the tunnel, and its transport. */
export type TunnelKind = 'stock-dtls' | 'stock-tls' | 'batched-dtls' | 'batched-tls';

interface CaseBase {
  readonly name: string;
  readonly about: string;
  readonly byDefault: boolean;
}
export interface TunnelCase extends CaseBase {
  readonly tunnel: TunnelKind;
  /** A second session of the same server is open meanwhile: the batched client over DTLS, to SECOND_INNER. */
  readonly second?: true;
  /** All processes of the server on one core, the clients and their traffic on the others. */
  readonly oneCore?: true;
  readonly measure: (bench: Bench) => Promise<Measurement>;
}
/** Measured on a server that has served nobody before: what earlier clients left (memory, compiled code) would be used again. */
export interface CrowdCase extends CaseBase {
  readonly tunnel: undefined;
  /** Options of our server that the case is about; they win over --set. */
  readonly ours?: ServerOptions;
  /** Users come with an ECDSA certificate instead of a password. */
  readonly certificates?: true;
  /** At least so many clients, whatever --clients says. */
  readonly leastClients?: number;
  /** There is nothing to compare with: our own figures count. */
  readonly alone?: true;
  readonly measure: (crowd: Crowd) => Promise<Measured>;
}
export type Case = TunnelCase | CrowdCase;

function bulkCases(tunnel: TunnelKind, byDefault: boolean): TunnelCase[] {
  const [client = '', transport = ''] = tunnel.split('-');
  const prefix = client === 'stock' ? transport : tunnel;
  const who = client === 'stock' ? 'stock openconnect' : 'the batched client';
  return (['down', 'up'] as const).map((direction) => ({
    name: `${prefix}-${direction}`,
    about: `TCP ${direction} over ${transport.toUpperCase()}, ${who}`,
    byDefault,
    tunnel,
    ...(client === 'stock' ? {} : { oneCore: true }),
    measure: (bench) => bulk(bench, { direction }),
  }));
}

/** Of somebody at home. */
const LINE_MBIT = 20;

/** So many clients in one worker that a machine's clients share a few. */
const SHARED = { 'worker-clients': 512 };

/** Sessions that a server has in the cases `logins-…-1000`. */
const OTHERS = 1000;

function loginCases(shared: boolean): CrowdCase[] {
  const who = shared ? 'clients of shared workers' : 'isolated clients';
  const common = {
    byDefault: true,
    tunnel: undefined,
    leastClients: 50,
    ...(shared ? { ours: SHARED } : {}),
    measure: logins,
  } as const;
  const suffix = shared ? '-shared' : '';
  const kinds: CrowdCase[] = [
    {
      ...common,
      name: `logins${suffix}`,
      about: `logins with CONNECT of ${who}, four at a time, ECDSA certificate`,
    },
    {
      ...common,
      name: `logins-cert${suffix}`,
      about: `the same with an ECDSA client certificate: no password is hashed`,
      certificates: true,
    },
  ];
  const crowded = kinds.map((kind) => ({
    ...kind,
    name: `${kind.name}-${OTHERS}`,
    about: `${kind.name} while ${OTHERS} others are connected`,
    byDefault: false,
    leastClients: 200,
    measure: loginsAmong(OTHERS),
  }));
  return [...kinds, ...crowded];
}

const memoryCases: readonly CrowdCase[] = [
  {
    name: 'memory',
    about: 'isolated sessions with DTLS at the same time',
    byDefault: true,
    tunnel: undefined,
    measure: memory,
  },
  {
    name: 'memory-shared',
    about: 'sessions with DTLS in shared workers at the same time, 500 or more',
    byDefault: true,
    tunnel: undefined,
    ours: SHARED,
    leastClients: 500,
    measure: memory,
  },
];

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
  ...(['dtls', 'tls'] as const).map(
    (transport): TunnelCase => ({
      name: `ping-line-${transport}`,
      about: `round trips over ${transport.toUpperCase()} beside TCP down, through a line of ${LINE_MBIT} Mbit/s`,
      byDefault: true,
      tunnel: `stock-${transport}`,
      measure: (bench) => throughLine(bench, LINE_MBIT, () => pingsUnderLoad(bench)),
    }),
  ),
  {
    name: 'starve',
    about: 'round trips over DTLS beside TCP down of another session (the batched client)',
    byDefault: true,
    tunnel: 'stock-dtls',
    second: true,
    measure: (bench) => pingsUnderLoad(bench, { to: SECOND_INNER }),
  },
  {
    name: 'starve-paced',
    about: 'the same with as much as either server carries: 800 Mbit/s',
    byDefault: true,
    tunnel: 'stock-dtls',
    second: true,
    measure: (bench) => pingsUnderLoad(bench, { to: SECOND_INNER, megabits: 800 }),
  },
  ...bulkCases('stock-tls', true),
  ...bulkCases('batched-dtls', true),
  ...bulkCases('batched-tls', true),
  ...[false, true].flatMap((shared) => loginCases(shared)),
  ...memoryCases,
  {
    name: 'flat',
    about: 'cost per login, per client at rest and per packet as the clients become more, up to --clients',
    byDefault: false,
    tunnel: undefined,
    alone: true,
    ours: SHARED,
    leastClients: 1000,
    measure: flat,
  },
  {
    name: 'scale',
    about:
      '--clients sessions with DTLS at rest for --seconds, then a tenth active: CPU, memory, commands, answers',
    byDefault: false,
    tunnel: undefined,
    measure: scale,
  },
];
