/** What accounting is told about sessions: one start and one stop each, however often the client connects. */
import type { AccountedSession, AccountingBackend, StopReason } from '../plugin-api/index.js';
import { type DiscReason, type Session, totals, uptimeSec } from './session.js';

const STOP_REASON: Readonly<Record<DiscReason, StopReason>> = {
  unspecified: 'other',
  'user-disconnect': 'user-disconnect',
  'server-disconnect': 'server-disconnect',
  'idle-timeout': 'idle-timeout',
  'dpd-timeout': 'dpd-timeout',
  error: 'error',
  'session-timeout': 'session-timeout',
  'temporary-disconnect': 'other',
  'health-probe': 'other',
};

export class Accounting {
  readonly #backend: (vhost: string) => AccountingBackend | null;

  /** `backend`: that of a virtual host; null without accounting. */
  constructor(backend: (vhost: string) => AccountingBackend | null) {
    this.#backend = backend;
  }

  isOn({ vhost }: Session): boolean {
    return this.#backend(vhost) !== null;
  }

  /** Whether the session may begin; one that goes on may. */
  async admits(session: Session): Promise<boolean> {
    if (session.accounted) return true;
    return (await this.#backend(session.vhost)?.admit?.(accounted(session))) ?? true;
  }

  start(session: Session): void {
    this.#backend(session.vhost)?.start(accounted(session));
  }

  /** `now`: seconds since the epoch. */
  interim(session: Session, now: number): void {
    if (!session.accounted) return;
    this.#backend(session.vhost)?.interim(accounted(session), usage(session, now));
  }

  /** The session is deleted. `reason`: why, when that is not what its last tunnel said. */
  stop(session: Session, now: number, reason = session.discReason): void {
    if (!session.accounted) return;
    this.#backend(session.vhost)?.stop(accounted(session), usage(session, now), STOP_REASON[reason]);
  }
}

function usage(session: Session, now: number) {
  return { seconds: uptimeSec(session, now), ...totals(session) };
}

/** What accounting back ends see of a session: never its cookie. */
export function accounted(session: Session): AccountedSession {
  const {
    safeId,
    userName,
    groupName,
    remoteIp,
    ourIp,
    userAgent,
    ipv4,
    ipv6,
    accountingState = '',
  } = session;
  return {
    sessionId: safeId,
    ...{ userName, groupName, remoteIp, ourIp, userAgent, ipv4, ipv6, accountingState },
  };
}
