/**
 * Every figure that the server exports, once: the registry, docs/metrics.md, and the checks of the dashboard and the
 * alert rules derive from it. The values of a label are bounded: they are listed, or their number is.
 */
import { discReasons } from '../../ipc/messages.js';
import { stateText } from '../main-client.machine.js';

/** The values that a label can have, or how many different ones there may be (further ones are called `other`). */
export type LabelValues = readonly string[] | number;

export interface MetricSpec {
  readonly type: 'counter' | 'gauge' | 'histogram';
  /** A sentence for the administrator. */
  readonly help: string;
  readonly labels: Readonly<Record<string, LabelValues>>;
  /** Upper bounds of a histogram, in its unit. */
  readonly buckets?: readonly number[];
}

type Labels = MetricSpec['labels'];
const NONE: Labels = {};
const counter = (help: string, labels = NONE) => ({ type: 'counter', help, labels }) as const;
const gauge = (help: string, labels = NONE) => ({ type: 'gauge', help, labels }) as const;
const histogram = (help: string, labels: Labels, buckets: readonly number[]) =>
  ({ type: 'histogram', help, labels, buckets }) as const;

const SECONDS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];
const direction = ['in', 'out'];
const MAX_METHODS = 16;
const MAX_VHOSTS = 256;
const MAX_KEYS = 8;

export const metrics = {
  ocvpn_connections: gauge('Connections by state, with and without a tunnel.', {
    state: Object.values(stateText).filter((state) => state !== stateText.CLOSED),
  }),
  ocvpn_sessions: gauge('Open tunnels by the channel that carries the data to the client.', {
    transport: ['tls', 'dtls'],
  }),
  ocvpn_sessions_opened_total: counter('Tunnels opened; a client that reconnects opens another one.'),
  ocvpn_sessions_adopted_total: counter('Tunnels taken over from an earlier main process.'),
  ocvpn_sessions_closed_total: counter('Tunnels ended, by reason.', { reason: discReasons }),
  ocvpn_tunnel_bytes_total: counter(
    'Bytes of packets inside the tunnels, from the clients (in) and to them (out).',
    { direction },
  ),
  ocvpn_tunnel_packets_total: counter('Packets inside the tunnels.', { direction }),
  ocvpn_dropped_packets_total: counter('Packets that were dropped, by reason.', {
    reason: ['too-big', 'malformed', 'source', 'rate-limit', 'stream-full', 'tun-full', 'replay'],
  }),
  ocvpn_auth_attempts_total: counter(
    'Answers of authentication back ends that ended an attempt; methods that must all say yes are one, with + between them.',
    {
      method: MAX_METHODS,
      result: ['accepted', 'wrong', 'rejected', 'failed'],
    },
  ),
  ocvpn_auth_seconds: histogram(
    'Time that the back end took for one step of a login.',
    { method: MAX_METHODS },
    SECONDS,
  ),
  ocvpn_delayed_logins_total: counter(
    'Passwords whose check had to wait because of many wrong ones for the same user.',
  ),
  ocvpn_handshake_seconds: histogram(
    'Duration of handshakes: TLS from the accepted connection on, DTLS from its first datagram on.',
    { channel: ['tls', 'dtls'] },
    SECONDS,
  ),
  ocvpn_handshake_failures_total: counter('Connections that ended within the TLS handshake.'),
  ocvpn_refused_connections_total: counter('Connections closed before TLS, by reason.', {
    reason: ['banned', 'pending-limit', 'no-worker'],
  }),
  ocvpn_waiting_connections: gauge('Accepted connections that wait for a worker.'),
  ocvpn_bans_total: counter('Bans that have begun.'),
  ocvpn_banned_addresses: gauge('Addresses that are banned now.'),
  ocvpn_workers: gauge('Worker processes by what they do.', { kind: ['spare', 'serving'] }),
  ocvpn_worker_failures_total: counter('Worker processes that ended by a signal or with an error.'),
  ocvpn_secmod_up: gauge('1 while the secmod process answers.'),
  ocvpn_secmod_restarts_total: counter('Times that the secmod process was lost and came back.'),
  ocvpn_secmod_entries: gauge('Sessions whose cookies are known, with and without a tunnel.'),
  ocvpn_ipc_violations_total: counter('Times that a process broke the internal protocol and was cut off.'),
  ocvpn_certificate_expiry_timestamp_seconds: gauge('End of the validity of each server certificate.', {
    vhost: MAX_VHOSTS,
    key: MAX_KEYS,
  }),
} as const satisfies Record<string, MetricSpec>;

type Metric = typeof metrics;
export type MetricName = keyof Metric;
type OfType<T extends MetricSpec['type']> = {
  [N in MetricName]: Metric[N]['type'] extends T ? N : never;
}[MetricName];
export type CounterName = OfType<'counter'>;
export type GaugeName = OfType<'gauge'>;
export type HistogramName = OfType<'histogram'>;
