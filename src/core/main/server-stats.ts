/** Figures of `show status`: since the start, and since the last reset. */
import type { Body } from '../ipc/messages.js';
import type { CloseReason } from '../native/types.js';

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
    this.avgAuthTimeMs = report.avgAuthTimeMs;
    this.maxAuthTimeMs = report.maxAuthTimeMs;
    this.period.authFailures += report.authFailures;
    this.totalAuthFailures += report.authFailures;
  }
}
