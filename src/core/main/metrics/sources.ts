/** Gauges: what is counted anew at each scrape, from main's tables. */
import type { BanTable } from '../bans.js';
import type { CertificateDates } from '../certificate-dates.js';
import type { ClientTable } from '../clients.js';
import { stateText } from '../main-client.machine.js';
import type { SecmodLink } from '../secmod-link.js';
import type { ServerStats } from '../server-stats.js';
import type { WorkerPool } from '../worker-pool.js';
import type { Metrics, Sample } from './metrics.js';

export interface MetricsSources {
  readonly clients: ClientTable;
  readonly bans: BanTable;
  readonly stats: ServerStats;
  readonly secmod: Pick<SecmodLink, 'pid'>;
  readonly pool: Pick<WorkerPool, 'workers' | 'spares' | 'waiting'>;
  readonly certificates: CertificateDates;
}

/** Connects the gauges of the catalogue with the tables. */
export function collectFrom(metrics: Metrics, sources: MetricsSources): void {
  const { clients, bans, stats, secmod, pool, certificates } = sources;
  const single = (value: () => number) => (): Sample[] => [{ value: value() }];
  metrics.collect('ocvpn_connections', () => connections(clients));
  metrics.collect('ocvpn_sessions', () => sessions(clients));
  metrics.collect(
    'ocvpn_waiting_connections',
    single(() => pool.waiting),
  );
  metrics.collect(
    'ocvpn_banned_addresses',
    single(() => bans.bannedCount()),
  );
  metrics.collect('ocvpn_workers', () => workers(pool));
  metrics.collect(
    'ocvpn_secmod_up',
    single(() => (secmod.pid === null ? 0 : 1)),
  );
  metrics.collect(
    'ocvpn_secmod_entries',
    single(() => stats.clientEntries),
  );
  metrics.collect('ocvpn_certificate_expiry_timestamp_seconds', () =>
    certificates.list().map(({ vhost, key, expires }) => ({
      labels: { vhost, key: String(key) },
      value: expires,
    })),
  );
}

function connections(clients: ClientTable): Sample[] {
  const counts = new Map<string, number>();
  for (const [state, text] of Object.entries(stateText)) if (state !== 'CLOSED') counts.set(text, 0);
  for (const { state } of clients.all())
    counts.set(stateText[state], (counts.get(stateText[state]) ?? 0) + 1);
  return [...counts].map(([state, value]) => ({ labels: { state }, value }));
}

function sessions(clients: ClientTable): Sample[] {
  const counts = { tls: 0, dtls: 0 };
  for (const { session } of clients.all()) if (session) counts[session.dtlsActive ? 'dtls' : 'tls']++;
  return Object.entries(counts).map(([transport, value]) => ({ labels: { transport }, value }));
}

function workers({ workers: all, spares }: MetricsSources['pool']): Sample[] {
  return [
    { labels: { kind: 'spare' }, value: spares },
    { labels: { kind: 'serving' }, value: all - spares },
  ];
}
