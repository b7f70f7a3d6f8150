/** The sessions that secmod knows: what main asks about cookies, and their expiry. */
import { randomInt } from 'node:crypto';
import { type Iroutes, withIroutes } from '../config/exposed-iroutes.js';
import { sessionConfig } from '../config/group-config.js';
import type { VhostConfig } from '../config/schema.js';
import { withSessionSettings } from '../config/session-settings.js';
import { withUserFiles } from '../config/user-files.js';
import type { Body } from '../ipc/messages.js';
import type { Logger } from '../log.js';
import type { AccountedSession, AccountingBackend, SessionSettings } from '../plugin-api/index.js';
import { safeIdOf } from '../util/safe-id.js';
import { Accounting, accounted } from './accounting.js';
import {
  closed,
  isExpired,
  isOverSessionTimeout,
  keyOf,
  type Lifetimes,
  lost,
  NO_TRAFFIC,
  opened,
  reported,
  resumed,
  type Session,
  survivesClose,
  totals,
  uptimeSec,
} from './session.js';
import type { StateStore } from './state-store.js';
import { lookup3 } from './user-hash.js';

export interface SessionsDeps {
  readonly store: StateStore;
  /** Seconds since the epoch. */
  readonly now: () => number;
  /** The running configuration of a virtual host; undefined once it is gone. */
  readonly vhost: (name: string) => VhostConfig | undefined;
  /** expose-iroutes of a virtual host. */
  readonly iroutes: (vhost: string) => Iroutes;
  /** That of a virtual host; null without accounting. */
  readonly accounting: (vhost: string) => AccountingBackend | null;
  readonly log: Logger;
}

type Cookie = Body<'SECM_LIST_COOKIES_REPLY'>['cookies'][number];
const COOKIE_STATUS = {
  INIT: 'authenticating',
  CONT: 'authenticating',
  COMPLETED: 'authenticated',
  FAILED: 'auth failed',
} as const satisfies Record<Session['status'], Cookie['status']>;

/** Terminated sessions that are remembered, so that no tunnel can bring one back. */
const MAX_TERMINATED = 65_536;

export class Sessions {
  readonly #deps: SessionsDeps;
  /** Keys, oldest first. */
  readonly #terminated = new Set<string>();
  readonly #accounting: Accounting;

  constructor(deps: SessionsDeps) {
    this.#deps = deps;
    this.#accounting = new Accounting(deps.accounting);
  }

  get store(): StateStore {
    return this.#deps.store;
  }

  /** SECM_SESSION_OPEN: the cookie must be that of a completed login and still good. */
  async open({ client, sid }: Body<'SECM_SESSION_OPEN'>): Promise<Body<'SECM_SESSION_REPLY'>> {
    const now = this.#deps.now();
    const key = keyOf(sid);
    const session = await this.store.get(key);
    const vhost = session && this.#configOf(session);
    const reason = this.#refusal(session, vhost, now);
    if (!session || !vhost || reason) {
      this.#deps.log.info({ client, session: safeIdOf(sid), reason }, 'cookie refused');
      return { reply: 'FAILED', reason, session: null };
    }
    if (!(await this.#accounting.admits(session)))
      return { reply: 'FAILED', reason: 'accounting does not admit the session', session: null };
    const before = await this.store.update(key, (current) => opened(current, now, lifetimesOf(vhost)));
    if (!before) return { reply: 'FAILED', reason: 'the session was terminated', session: null };
    return { reply: 'OK', reason: '', session: describe(sid, session, vhost) };
  }

  /** SEC_CHECK_COOKIE: whether the cookie would open a session now. */
  async isGood(cookie: Uint8Array, vhostName: string): Promise<boolean> {
    const session = await this.store.get(keyOf(cookie));
    if (!session || session.vhost !== vhostName) return false;
    return this.#refusal(session, this.#configOf(session), this.#deps.now()) === '';
  }

  /** The options of the session's virtual host with those of its user and group; undefined when they cannot be had. */
  #configOf(session: Session): VhostConfig | undefined {
    const vhost = this.#deps.vhost(session.vhost);
    try {
      if (!vhost) return undefined;
      const { settings, changed, userName } = session;
      const own = settings ? withSessionSettings(vhost, settings) : withUserFiles(vhost, session);
      const config = changed ? withSessionSettings(own, changed) : own;
      return withIroutes(config, this.#deps.iroutes(session.vhost), userName);
    } catch (error) {
      const { message } = error as Error;
      this.#deps.log.error(
        { session: session.safeId, user: session.userName, reason: message },
        'session refused',
      );
      return undefined;
    }
  }

  #refusal(session: Session | undefined, vhost: VhostConfig | undefined, now: number): string {
    if (!session) return 'unknown cookie';
    if (session.status !== 'COMPLETED') return 'the login is not complete';
    if (!vhost) return 'there is no configuration for it';
    if (isExpired(session, now)) return 'the cookie has expired';
    return isOverSessionTimeout(session, now, lifetimesOf(vhost)) ? 'session-timeout has passed' : '';
  }

  /** SECM_SESSION_CLOSE. An unknown session (terminated meanwhile) yields the counts of the message alone. */
  async close(body: Body<'SECM_SESSION_CLOSE'>): Promise<Body<'SECM_CLI_STATS'>> {
    const now = this.#deps.now();
    const { sid, bytesIn, bytesOut, discReason } = body;
    let survives = true;
    const before = await this.store.update(keyOf(sid), (session) => {
      const lifetimes = this.#lifetimes(session);
      const remaining = closed(session, body, now, lifetimes);
      survives = survivesClose(remaining, body, now, lifetimes);
      return survives ? remaining : null;
    });
    if (!before) return { bytesIn, bytesOut, discReason, uptimeSec: 0, expires: 0 };
    if (!survives) this.#bury(before.key);
    const after = closed(before, body, now, this.#lifetimes(before));
    const expires = survives ? after.expires : 0;
    if (!survives)
      this.#accounting.stop(after, now, body.serverDisconnected ? 'server-disconnect' : discReason);
    return { ...totals(after), discReason, uptimeSec: uptimeSec(after, now), expires };
  }

  /** SECM_SESSION_RESUME: a tunnel that outlived main or this process. */
  async resume(body: Body<'SECM_SESSION_RESUME'>): Promise<Body<'SECM_SESSION_REPLY'>> {
    const now = this.#deps.now();
    const key = keyOf(body.sid);
    if (!(await this.store.get(key)) && this.store.lossy && !this.#terminated.has(key))
      await this.store.insert(this.#rebuilt(body, now));
    const session = await this.store.update(key, (current) =>
      resumed(current, now, this.#lifetimes(current)),
    );
    if (session) return { reply: 'OK', reason: '', session: null };
    return { reply: 'FAILED', reason: 'the session was terminated', session: null };
  }

  /** SEC_CLI_STATS, from a worker. */
  async report({ sid, bytesIn, bytesOut, discReason }: Body<'SEC_CLI_STATS'>): Promise<void> {
    const change = (session: Session): Session =>
      session.inUse > 0 ? reported(session, { bytesIn, bytesOut }, discReason) : session;
    const before = await this.store.update(keyOf(sid), change);
    // The last report of a tunnel, which has a reason, is no interim one.
    if (before && before.inUse > 0 && discReason === 'unspecified')
      this.#accounting.interim(change(before), this.#deps.now());
  }

  /** SECM_SESSION_ADDRESSES. */
  async setAddresses({ sid, ipv4, ipv6, lease }: Body<'SECM_SESSION_ADDRESSES'>): Promise<void> {
    const change = (session: Session): Session => ({
      ...session,
      ipv4,
      ipv6,
      lease,
      accounted: session.accounted || this.#accounting.isOn(session),
    });
    const before = await this.store.update(keyOf(sid), change);
    if (before && !before.accounted) this.#accounting.start(change(before));
  }

  /** SECM_LIST_LEASES. */
  async leases(): Promise<Body<'SECM_LIST_LEASES_REPLY'>> {
    const held = (await this.store.list()).filter(({ lease }) => lease !== '');
    return {
      leases: held.map(({ safeId, userName, expires, lease }) => ({ safeId, userName, expires, lease })),
    };
  }

  /** SECM_LIST_COOKIES. */
  async cookies(): Promise<Cookie[]> {
    return (await this.store.list()).map((session) => ({
      safeId: session.safeId,
      sessionIsOpen: session.sessionIsOpen,
      tlsAuthOk: session.tlsAuthOk,
      created: session.created,
      expires: session.expires,
      userName: session.userName,
      groupName: session.groupName,
      vhost: session.vhost,
      userAgent: session.userAgent,
      remoteIp: session.remoteIp,
      status: COOKIE_STATUS[session.status],
      inUse: session.inUse,
    }));
  }

  /** Deletes the sessions that `matches`, persistent or not; logins under way fail at their next answer. */
  async terminate(matches: (session: Session) => boolean): Promise<number> {
    return this.#end((await this.store.list()).filter(matches), 'server-disconnect');
  }

  /** `reason` null: that of the last tunnel. */
  async #end(doomed: readonly Session[], reason: Session['discReason'] | null): Promise<number> {
    for (const { key } of doomed) {
      this.#bury(key);
      const last = await this.store.update(key, () => null);
      if (last) this.#accounting.stop(last, this.#deps.now(), reason ?? last.discReason);
    }
    return doomed.length;
  }

  /** Open sessions of a virtual host that an accounting back end wants to end. */
  async openOnes(vhost: string, matches: (session: AccountedSession) => boolean): Promise<Session[]> {
    const all = await this.store.list();
    return all.filter(
      (session) => session.accounted && session.vhost === vhost && matches(accounted(session)),
    );
  }

  /** Changes what an accounting back end wants of its open sessions, which it returns. Throws OCS_CONFIG. */
  async change(
    vhostName: string,
    matches: (session: AccountedSession) => boolean,
    change: SessionSettings,
  ): Promise<Session[]> {
    const vhost = this.#deps.vhost(vhostName);
    if (vhost) withSessionSettings(vhost, change);
    const found = await this.openOnes(vhostName, matches);
    for (const { key } of found) {
      await this.store.update(key, (session) => ({
        ...session,
        changed: { ...session.changed, ...change },
      }));
    }
    return found;
  }

  /**
   * This process ends: accounting hears the end of sessions that wait for their client. One that comes back to the next
   * process begins anew there.
   */
  async endAccounting(): Promise<void> {
    const waiting = (await this.store.list()).filter(({ inUse, accounted }) => inUse === 0 && accounted);
    for (const { key } of waiting) {
      const last = await this.store.update(key, (session) => ({ ...session, accounted: false }));
      if (last) this.#accounting.stop(last, this.#deps.now());
    }
  }

  /** Deletes what has expired. */
  async expire(): Promise<number> {
    return this.#end(await this.store.expired(this.#deps.now()), null);
  }

  /**
   * A main that connects presents every tunnel that there is (SECM_SESSION_RESUME), one after the other. Until then
   * the cookies live on like those of clients that lost their connection.
   */
  async forgetTunnels(): Promise<void> {
    const now = this.#deps.now();
    for (const { key, inUse } of await this.store.list()) {
      if (inUse === 0) continue;
      await this.store.update(key, (session) => lost(session, now, this.#lifetimes(session)));
    }
  }

  /** Accounting began when the tunnel did, so the end of the session is all that is still to be told. */
  #rebuilt(body: Body<'SECM_SESSION_RESUME'>, now: number): Session {
    const session = rebuilt(body, now);
    return { ...session, accounted: this.#accounting.isOn(session) };
  }

  #bury(key: string): void {
    this.#terminated.add(key);
    const [oldest] = this.#terminated;
    if (this.#terminated.size > MAX_TERMINATED && oldest !== undefined) this.#terminated.delete(oldest);
  }

  #lifetimes(session: Session): Lifetimes {
    const vhost = this.#deps.vhost(session.vhost);
    // Without its virtual host a session cannot be opened again, so it need not linger.
    return vhost
      ? lifetimesOf(vhost, session)
      : { cookieTimeoutSec: 0, sessionTimeoutSec: 0, persistentCookies: false };
  }
}

/** `session`: with what its back end decided about it. */
export function lifetimesOf(vhost: VhostConfig, session?: Pick<Session, 'settings' | 'changed'>): Lifetimes {
  const decided = session?.changed?.sessionTimeoutSec ?? session?.settings?.sessionTimeoutSec;
  return {
    cookieTimeoutSec: vhost['cookie-timeout'],
    sessionTimeoutSec: decided ?? vhost['session-timeout'],
    persistentCookies: vhost['persistent-cookies'],
  };
}

/** A session that was lost with the state file, from what main knows about its tunnel. */
function rebuilt(body: Body<'SECM_SESSION_RESUME'>, now: number): Session {
  const { userName, groupName, vhost, userAgent, devicePlatform, deviceType, tlsAuthOk, ipv4Seed } = body;
  return {
    key: keyOf(body.sid),
    safeId: safeIdOf(body.sid),
    status: 'COMPLETED',
    ...{ userName, groupName, vhost, userAgent, devicePlatform, deviceType, tlsAuthOk, ipv4Seed },
    remoteIp: body.ip,
    created: body.sessionStartTime,
    expires: now,
    inUse: 0,
    sessionIsOpen: true,
    saved: NO_TRAFFIC,
    current: NO_TRAFFIC,
    discReason: 'unspecified',
    disconnected: null,
    ipv4: '',
    ipv6: '',
    lease: body.lease,
    settings: null,
    ourIp: '',
    accounted: false,
  };
}

function describe(
  sid: Uint8Array,
  session: Session,
  vhost: VhostConfig,
): NonNullable<Body<'SECM_SESSION_REPLY'>['session']> {
  const { safeId, userName, groupName, ipv4Seed, tlsAuthOk, userAgent, devicePlatform, deviceType } = session;
  return {
    sid,
    safeId,
    userName,
    groupName,
    vhost: session.vhost,
    ip: session.remoteIp,
    ipv4Seed,
    tlsAuthOk,
    userAgent,
    devicePlatform,
    deviceType,
    sessionStartTime: session.created,
    config: sessionConfig(vhost),
  };
}

/** predictable-ips: the same for every session of a user, and the one that ocserv has; otherwise random. 32 bits. */
export function ipv4Seed(userName: string, predictable: boolean): number {
  if (!predictable) return randomInt(2 ** 32);
  // ocserv takes the number as its machine's bytes, here those of the usual one.
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(lookup3(Buffer.from(userName)));
  return bytes.readUInt32BE();
}
