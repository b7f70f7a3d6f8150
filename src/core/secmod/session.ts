/** One session, the entry behind a cookie, and the rules of its life (reference: protocol.md §14). Pure. */
import { hash } from 'node:crypto';
import type { Body } from '../ipc/messages.js';
import type { SessionSettings } from '../plugin-api/index.js';

export type DiscReason = Body<'SEC_CLI_STATS'>['discReason'];
/** States of the login table (secmod-login.machine.ts) that an entry can be in. */
export type SessionStatus = 'INIT' | 'CONT' | 'COMPLETED' | 'FAILED';

/** Times are seconds since the epoch. Records are never changed in place. */
export interface Session {
  /** keyOf the SID, which itself (the cookie) is kept nowhere. */
  readonly key: string;
  readonly safeId: string;
  readonly status: SessionStatus;
  readonly vhost: string;
  readonly userName: string;
  readonly groupName: string;
  /** What the back end returned about it. */
  readonly settings: SessionSettings | null;
  /** What an accounting back end has changed since. */
  readonly changed?: SessionSettings;
  /** Text of the back end for accounting. */
  readonly accountingState?: string;
  readonly remoteIp: string;
  /** Address of the server at the login. */
  readonly ourIp: string;
  readonly userAgent: string;
  readonly devicePlatform: string;
  readonly deviceType: string;
  readonly tlsAuthOk: boolean;
  readonly ipv4Seed: number;
  /** First login; what session-timeout counts from. */
  readonly created: number;
  readonly expires: number;
  /** Tunnels that are open with this cookie: 2 for a moment when a client comes back. */
  readonly inUse: number;
  /** A tunnel was opened at least once. */
  readonly sessionIsOpen: boolean;
  /** Accounting knows of it. */
  readonly accounted: boolean;
  /** Counts of tunnels that have ended. */
  readonly saved: Traffic;
  /** Counts of the tunnel that is open, as far as they were reported. */
  readonly current: Traffic;
  readonly discReason: DiscReason;
  /** When the last tunnel ended. */
  readonly disconnected: number | null;
  readonly ipv4: string;
  readonly ipv6: string;
  /** main's own text of the last lease, '' before the first. */
  readonly lease: string;
}

export interface Traffic {
  readonly bytesIn: number;
  readonly bytesOut: number;
}

/** The options of the session's virtual host that decide about its life. */
export interface Lifetimes {
  readonly cookieTimeoutSec: number;
  readonly sessionTimeoutSec: number;
  readonly persistentCookies: boolean;
}

/** Added to cookie-timeout, so that a client that comes back in the last moment still finds its session. */
export const SLACK_SEC = 15;
export const NO_TRAFFIC: Traffic = { bytesIn: 0, bytesOut: 0 };

/**
 * Under what a session is kept: base64 of the SHA-256 of its SID. A look-up then takes no time that depends on how
 * much of a guessed SID is right, and whoever reads the state file has no cookie.
 */
export function keyOf(sid: Uint8Array): string {
  return hash('sha256', sid, 'base64');
}

export function expiryFrom(now: number, lifetimes: Lifetimes): number {
  return now + lifetimes.cookieTimeoutSec + SLACK_SEC;
}

export function isExpired(session: Session, now: number): boolean {
  return session.inUse === 0 && now >= session.expires;
}

/** session-timeout counts from the login, so that it cannot be evaded by connecting again. */
export function isOverSessionTimeout(session: Session, now: number, lifetimes: Lifetimes): boolean {
  return lifetimes.sessionTimeoutSec > 0 && now >= session.created + lifetimes.sessionTimeoutSec;
}

/**
 * CONNECT was accepted. What a tunnel that still runs has reported stays apart; what one that was lost and did not
 * come back has reported is its last word.
 */
export function opened(session: Session, now: number, lifetimes: Lifetimes): Session {
  const next = resumed(session, now, lifetimes);
  return session.inUse > 0 ? next : { ...next, saved: totals(session), current: NO_TRAFFIC };
}

/** A tunnel that outlived main or secmod was presented again; it goes on counting where it was. */
export function resumed(session: Session, now: number, lifetimes: Lifetimes): Session {
  return {
    ...session,
    inUse: session.inUse + 1,
    sessionIsOpen: true,
    disconnected: null,
    expires: expiryFrom(now, lifetimes),
  };
}

/** Nobody knows whether its tunnels still run: it lives on like that of a client that lost its connection. */
export function lost(session: Session, now: number, lifetimes: Lifetimes): Session {
  return { ...session, inUse: 0, disconnected: now, expires: expiryFrom(now, lifetimes) };
}

/** Interim counters of the open tunnel: they only grow, smaller values are not believed. */
export function reported(session: Session, traffic: Traffic, discReason: DiscReason): Session {
  return { ...session, current: larger(session.current, traffic), discReason };
}

export interface Closing extends Traffic {
  readonly discReason: DiscReason;
  /** The server ended it: an administrator, or its own shutdown of this session. */
  readonly serverDisconnected: boolean;
}

/** A tunnel ended; the session that remains. Whether it remains is `survivesClose`. */
export function closed(session: Session, closing: Closing, now: number, lifetimes: Lifetimes): Session {
  const inUse = Math.max(0, session.inUse - 1);
  const keepsExpiry = closing.discReason === 'user-disconnect';
  const lingering = keepsExpiry ? Math.max(session.expires, now + SLACK_SEC) : expiryFrom(now, lifetimes);
  if (inUse > 0) return { ...session, inUse, ...countsBeside(session, closing) };
  return {
    ...session,
    inUse,
    saved: sum(session.saved, larger(session.current, closing)),
    current: NO_TRAFFIC,
    discReason: closing.discReason,
    disconnected: now,
    expires: lingering,
  };
}

/**
 * Another tunnel of the session goes on. Reports do not say which one they are of: what is more than the one that ended
 * had counts for the other (all of it, if the one that ended was refused before it carried anything).
 */
function countsBeside({ saved, current }: Session, ended: Traffic): Pick<Session, 'saved' | 'current'> {
  const ofOther = current.bytesIn > ended.bytesIn || current.bytesOut > ended.bytesOut;
  return { saved: sum(saved, ended), current: ofOther ? current : NO_TRAFFIC };
}

/**
 * Whether the cookie can be used again after this end. `remaining` is what `closed` returned: while another
 * tunnel is open (the client came back before the old one was gone) a user's goodbye on the old one means nothing.
 */
export function survivesClose(
  remaining: Session,
  closing: Closing,
  now: number,
  lifetimes: Lifetimes,
): boolean {
  if (lifetimes.persistentCookies) return true;
  if (closing.serverDisconnected) return false;
  if (remaining.inUse > 0) return true;
  if (closing.discReason === 'user-disconnect') return false;
  return closing.discReason !== 'session-timeout' && !isOverSessionTimeout(remaining, now, lifetimes);
}

/** Login to last disconnect. */
export function uptimeSec(session: Session, now: number): number {
  return Math.max(0, (session.disconnected ?? now) - session.created);
}

/** All traffic of the session. */
export function totals(session: Session): Traffic {
  return sum(session.saved, session.current);
}

function larger(a: Traffic, b: Traffic): Traffic {
  return { bytesIn: Math.max(a.bytesIn, b.bytesIn), bytesOut: Math.max(a.bytesOut, b.bytesOut) };
}

function sum(a: Traffic, b: Traffic): Traffic {
  return { bytesIn: a.bytesIn + b.bytesIn, bytesOut: a.bytesOut + b.bytesOut };
}
