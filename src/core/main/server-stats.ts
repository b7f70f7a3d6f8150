/**
 * What has happened, as figures: those of `show status` (since the start, and since the last reset), and the counters
 * of the metrics (since this process began).
 */
import type { Body } from '../ipc/messages.js';
import type { CloseReason } from '../native/types.js';
import type { Drops, Report } from './clients.js';
import { Metrics } from './metrics/metrics.js';

export interface Period {
  /** Seconds since the epoch. */
  since: number;
  sessionsClosed: number;
  timedOut: number;
  timedOutIdle: number;
  errors: number;
  authFailures: number;
  sessionSecTotal: number;
  sessionSecMax: number;
  bytesIn: number;
  bytesOut: number;
  mtuMin: number;
  mtuMax: number;
}

const emptyPeriod = (since: number): Period => ({
  since,
  sessionsClosed: 0,
  timedOut: 0,
  timedOutIdle: 0,
  errors: 0,
  authFailures: 0,
  sessionSecTotal: 0,
  sessionSecMax: 0,
  bytesIn: 0,
  bytesOut: 0,
  mtuMin: 0,
  mtuMax: 0,
});

const DROP_REASONS = {
  tooBig: 'too-big',
  malformed: 'malformed',
  source: 'source',
  rateLimit: 'rate-limit',
  streamFull: 'stream-full',
  tunFull: 'tun-full',
  replay: 'replay',
} as const satisfies Record<keyof Drops, string>;

/** What of the figures outlives a main that is killed. */
export interface StatsSnapshot {
  readonly startedAt: number;
  readonly period: Period;
  readonly totalSessions: number;
  readonly totalAuthFailures: number;
  readonly violations: number;
}

export class ServerStats {
  readonly startedAt: number;
  period: Period;
  totalSessions = 0;
  totalAuthFailures = 0;
  /** Times that a process broke the protocol and was cut off. */
  violations = 0;
  /** From secmod. */
  clientEntries = 0;
  tlsDbEntries = 0;
  avgAuthTimeMs = 0;
  maxAuthTimeMs = 0;

  readonly metrics = new Metrics();

  /** `saved`: figures to go on with. */
  constructor(now: number, saved: StatsSnapshot | null = null) {
    this.startedAt = saved?.startedAt ?? now;
    this.period = { ...emptyPeriod(now), ...saved?.period };
    this.totalSessions = saved?.totalSessions ?? 0;
    this.totalAuthFailures = saved?.totalAuthFailures ?? 0;
    this.violations = saved?.violations ?? 0;
  }

  snapshot(): StatsSnapshot {
    const { startedAt, period, totalSessions, totalAuthFailures, violations } = this;
    return { startedAt, period, totalSessions, totalAuthFailures, violations };
  }

  /** Starts a new period when the current one is older than this; 0: never. Seconds. */
  resetPeriodAfter(seconds: number, now: number): void {
    if (seconds > 0 && now - this.period.since >= seconds) this.period = emptyPeriod(now);
  }

  /** A tunnel ended. */
  sessionClosed(reason: CloseReason, seconds: number, bytesIn: number, bytesOut: number): void {
    const { period } = this;
    this.metrics.count('ocvpn_sessions_closed_total', { reason });
    this.totalSessions++;
    period.sessionsClosed++;
    if (reason === 'session-timeout') period.timedOut++;
    if (reason === 'idle-timeout') period.timedOutIdle++;
    if (reason === 'error') period.errors++;
    period.sessionSecTotal += seconds;
    period.sessionSecMax = Math.max(period.sessionSecMax, seconds);
    period.bytesIn += bytesIn;
    period.bytesOut += bytesOut;
  }

  sessionBegan(how: 'opened' | 'adopted'): void {
    this.metrics.count(how === 'opened' ? 'ocvpn_sessions_opened_total' : 'ocvpn_sessions_adopted_total');
  }

  /** What tunnels have carried and dropped since they were last asked. */
  traffic({ bytesIn, bytesOut, packetsIn, packetsOut, drops }: Report): void {
    const { metrics } = this;
    metrics.count('ocvpn_tunnel_bytes_total', { direction: 'in' }, bytesIn);
    metrics.count('ocvpn_tunnel_bytes_total', { direction: 'out' }, bytesOut);
    metrics.count('ocvpn_tunnel_packets_total', { direction: 'in' }, packetsIn);
    metrics.count('ocvpn_tunnel_packets_total', { direction: 'out' }, packetsOut);
    for (const [name, count] of Object.entries(drops) as [keyof Drops, number][])
      metrics.count('ocvpn_dropped_packets_total', { reason: DROP_REASONS[name] }, count);
  }

  handshake({ channel, milliseconds }: Pick<Body<'HANDSHAKE'>, 'channel' | 'milliseconds'>): void {
    this.metrics.observe('ocvpn_handshake_seconds', { channel }, milliseconds / 1000);
  }

  handshakeFailed(): void {
    this.metrics.count('ocvpn_handshake_failures_total');
  }

  connectionRefused(reason: 'banned' | 'pending-limit' | 'no-worker'): void {
    this.metrics.count('ocvpn_refused_connections_total', { reason });
  }

  banned(): void {
    this.metrics.count('ocvpn_bans_total');
  }

  violation(): void {
    this.violations++;
    this.metrics.count('ocvpn_ipc_violations_total');
  }

  workerFailed(): void {
    this.metrics.count('ocvpn_worker_failures_total');
  }

  secmodRestarted(): void {
    this.metrics.count('ocvpn_secmod_restarts_total');
  }

  /** A prompt ends no attempt, but took its time. */
  loginSteps({ steps }: Body<'SECM_LOGIN_STEPS'>): void {
    for (const { method, result, milliseconds } of steps) {
      this.metrics.observe('ocvpn_auth_seconds', { method }, milliseconds / 1000);
      if (result !== 'prompted') this.metrics.count('ocvpn_auth_attempts_total', { method, result });
    }
  }

  mtu(mtu: number): void {
    const { period } = this;
    period.mtuMin = period.mtuMin === 0 ? mtu : Math.min(period.mtuMin, mtu);
    period.mtuMax = Math.max(period.mtuMax, mtu);
  }

  /** secmod's periodic report; its failures count since its last report. */
  secmod(report: Body<'SECM_STATS'>): void {
    this.clientEntries = report.clientEntries;
    this.tlsDbEntries = report.tlsDbEntries;
    this.violations += report.ipcViolations;
    this.metrics.count('ocvpn_delayed_logins_total', {}, report.delayedLogins);
    this.avgAuthTimeMs = report.avgAuthTimeMs;
    this.maxAuthTimeMs = report.maxAuthTimeMs;
    this.period.authFailures += report.authFailures;
    this.totalAuthFailures += report.authFailures;
  }
}
