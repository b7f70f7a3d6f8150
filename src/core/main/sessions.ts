/**
 * Opens and closes tunnels: main's answer to AUTH_COOKIE_REQ, in the order of reference ipc-and-processes §3,
 * and everything that has to be undone when a client is gone.
 *
 * After the wait for secmod, leases and devices are set up without interruption, so that two connections with the
 * same cookie can never hold the same addresses; the scripts come after that.
 */
import type { WithFds } from '../ipc/api.js';
import type { Body } from '../ipc/messages.js';
import type { Logger } from '../log.js';
import type { CloseReason, NativeIo, TunDevice } from '../native/types.js';
import { safeIdOf } from '../util/safe-id.js';
import { acceptedReply } from './accepted-reply.js';
import type { BanTable } from './bans.js';
import {
  type Client,
  type ClientTable,
  type Counters,
  idsOf,
  type Report,
  type Session,
  ZERO,
} from './clients.js';
import { ConnectionLog } from './connection-log.js';
import { DeviceNames } from './device-names.js';
import { missingExplicit, reclaimExplicit } from './explicit-addresses.js';
import type { LeasePing } from './lease-ping.js';
import type { Lease, LeaseTable } from './leases.js';
import { LINK_MTU, newSession, type OpenedSession } from './new-session.js';
import { deviceOf, type Reservations } from './reservations.js';
import type { SecmodCalls } from './secmod-calls.js';
import type { ServerStats } from './server-stats.js';
import { configureTun, retireTun } from './session-device.js';
import type { SessionEvent } from './session-event.js';
import type { SessionHooks } from './session-hooks.js';
import { checkPolicy, Refused } from './session-policy.js';
import { SessionReports } from './session-reports.js';
import type { Tickets } from './tickets.js';

/** From TERMINATE to CLIENT_CLOSED, until the worker is made to end. */
const TERMINATE_LIMIT_MS = 10_000;
/** Leases that are asked for one client (ping-leases), a second each. */
const MAX_PINGED = 5;

export interface SessionsOptions {
  readonly io: Pick<NativeIo, 'openTun' | 'configureInterface' | 'setInterfaceMtu' | 'close'>;
  readonly log: Logger;
  readonly clients: ClientTable;
  readonly leases: LeaseTable;
  readonly reservations: Reservations;
  readonly tickets: Tickets;
  /** Until secmod says how long the cookie of an ended tunnel lives. Seconds. */
  readonly cookieTimeoutSec: number;
  readonly bans: BanTable;
  readonly secmod: SecmodCalls;
  readonly stats: ServerStats;
  /** Scripts, firewall rules and routes of a session. */
  readonly hooks: Pick<SessionHooks, 'isIdle' | 'opened' | 'reported' | 'closed'>;
  /** ping-leases, null while it is off. */
  readonly ping?: Pick<LeasePing, 'answers'> | null;
  /** Somebody wants to know (events). */
  readonly onEvent?: (event: SessionEvent) => void;
  /** Prefix of tun device names (option device). */
  readonly device: string;
  /** uid that workers run as, owner of the devices. */
  readonly workerUid: number;
  readonly offload: boolean;
  /** 0: no UDP. */
  readonly udpPort: number;
  /** Seconds since the epoch. */
  readonly now: () => number;
  readonly connectionPoints: number;
  /** A tunnel was opened (`reason` null) or has ended: for the history. */
  readonly record: (client: Client, reason: CloseReason | null) => void;
  /** A client's entry is gone. */
  readonly onClosed: () => void;
}

type CookieReply = Body<'AUTH_COOKIE_REP'>;

export class Sessions {
  /** What workers report about open tunnels. */
  readonly reports: SessionReports;
  readonly #options: SessionsOptions;
  /** Sessions that secmod has opened and that have no device yet (ping-leases takes seconds). */
  readonly #opening = new Set<OpenedSession>();
  readonly #names: DeviceNames;
  readonly #connections: ConnectionLog;

  constructor(options: SessionsOptions) {
    this.#options = options;
    this.#names = new DeviceNames(options.device);
    this.reports = new SessionReports(options);
    this.#connections = new ConnectionLog(options.log);
  }

  /** AUTH_COOKIE_REQ. Never throws for a refusal; the reply carries the tun descriptor when it is OK. */
  async open(client: Client, request: Body<'AUTH_COOKIE_REQ'>): Promise<CookieReply | WithFds<CookieReply>> {
    const { clients, log } = this.#options;
    clients.advance(client, 'cookie');
    const sid = Uint8Array.from(request.cookie);
    let reply: Body<'SECM_SESSION_REPLY'>;
    try {
      reply = await this.#options.secmod.openSession({
        client: client.id,
        sid,
        remoteIp: client.remote.address,
      });
    } catch (error) {
      log.warn(
        { client: client.id, session: safeIdOf(sid), err: error },
        'secmod did not answer; the session is not opened',
      );
      return this.#refuse(client, sid, 'secmod is not available');
    }
    if (reply.reply !== 'OK' || reply.session === null) return this.#refuse(client, sid, reply.reason);
    this.#opening.add(reply.session);
    this.#options.reservations.giveWay(deviceOf(reply.session, request.hostname), reply.session.safeId);
    await this.#leaseSilent(client, request, reply.session);
    const invalidated = !this.#opening.delete(reply.session);
    if (client.state !== 'INIT') {
      void this.#closeAtSecmod(sid, 'unspecified', ZERO, false);
      return failed('the client is gone');
    }
    try {
      if (invalidated) throw new Refused('the session was terminated');
      const { session, tun } = this.#prepare(client, request, reply.session);
      return await this.#admit(client, session, reply.session, tun);
    } catch (error) {
      void this.#closeAtSecmod(sid, 'error', ZERO, false);
      if (!(error instanceof Refused))
        log.error({ client: client.id, session: safeIdOf(sid), err: error }, 'the tunnel cannot be set up');
      return this.#refuse(
        client,
        sid,
        error instanceof Refused ? error.message : 'the tunnel cannot be set up',
      );
    }
  }

  /** A tunnel of an earlier main is in the table again. */
  adopted(client: Client, session: Session): void {
    this.#options.stats.sessionBegan('adopted');
    this.#options.record(client, null);
    this.#options.onEvent?.({ type: 'adopted', client, session, reason: null, time: this.#options.now() });
  }

  /** The client is gone, whoever says so; undoes everything once. */
  close(client: Client, reason: CloseReason, detail: string, last: Report | null): void {
    if (client.state === 'CLOSED') return;
    this.#undo(client, reason, detail, last);
    this.#options.onClosed();
  }

  #undo(client: Client, reason: CloseReason, detail: string, last: Report | null): void {
    const { clients, leases, reservations, log, stats, bans, connectionPoints, now } = this.#options;
    clients.advance(client, 'closed');
    const { session } = client;
    if (last) this.reports.count(client, last);
    if (session) this.#retire(session);
    clients.remove(client);
    if (reason === 'health-probe') bans.refund(client.origRemoteIp, connectionPoints);
    if (session === null) {
      leases.release(client.id);
      if (!client.secure && reason !== 'health-probe') stats.handshakeFailed();
      this.#connections.ended(client, reason, detail);
      return;
    }
    // A clock that was put back is no negative time.
    const seconds = Math.max(0, now() - session.connectedAt);
    const why = client.ending?.stolen ? 'unspecified' : reason;
    const serverDisconnected = client.ending !== null && !client.ending.stolen;
    this.#options.record(client, reason);
    stats.sessionClosed(reason, seconds, session.counters.bytesIn, session.counters.bytesOut);
    const until = now() + this.#options.cookieTimeoutSec;
    const device = deviceOf(session, session.hostname);
    reservations.keep(client.id, session.safeId, { userName: session.userName, device, until });
    const totals = this.#closeAtSecmod(session.sid, why, session.counters, serverDisconnected);
    void totals.then((known) => known && reservations.setEnd(session.safeId, known.expires));
    const { bytesIn, bytesOut } = session.counters;
    this.#options.hooks.closed(
      client,
      session,
      totals.then((known) =>
        known
          ? { bytesIn: known.bytesIn, bytesOut: known.bytesOut, seconds: known.uptimeSec }
          : { bytesIn, bytesOut, seconds },
      ),
    );
    this.#options.onEvent?.({ type: 'disconnected', client, session, reason, time: now() });
    log.info(
      {
        ...idsOf(client),
        user: session.userName,
        ip: client.remote.address,
        reason,
        detail,
        seconds,
        ...session.counters,
      },
      'session closed',
    );
  }

  /** Server-side end: the client is told not to come back and its cookie dies. */
  disconnect(client: Client, reason: CloseReason): void {
    client.ending ??= { reason, stolen: false };
    this.#terminate(client, 'disconnect', reason);
  }

  /**
   * SECM_END_SESSION: as disconnect, for what has this safe_id; with `reconnect` its client is meant to come back by its
   * cookie. Returns how many there were.
   */
  endSession(safeId: string, reconnect: boolean): number {
    const found = [...this.#options.clients.all()].filter(({ session }) => session?.safeId === safeId);
    for (const client of found) {
      if (reconnect) this.#terminate(client, 'drop', 'temporary-disconnect');
      else this.disconnect(client, 'server-disconnect');
    }
    return found.length;
  }

  /** A login that goes on for too long, although its worker should have ended it. */
  endLogin(client: Client): void {
    this.#terminate(client, 'drop', 'session-timeout');
  }

  /** A worker that does not end its client, hung or taken over, is ended itself. */
  #terminate(client: Client, how: 'disconnect' | 'drop', reason: CloseReason): void {
    client.worker.sendTerminate(client.id, how, reason);
    setTimeout(() => {
      if (client.state !== 'CLOSED') client.worker.cutOff(`it did not end client ${client.id} when told to`);
    }, TERMINATE_LIMIT_MS).unref();
  }

  /** Lease and device. Runs without interruption. */
  #prepare(
    client: Client,
    request: Body<'AUTH_COOKIE_REQ'>,
    opened: OpenedSession,
  ): { session: Session; tun: TunDevice } {
    const { clients, leases, io } = this.#options;
    const older = clients.bySid(opened.sid);
    checkPolicy(clients, client, older, opened);
    for (const holder of reclaimExplicit(opened, this.#options)) this.#displace(holder);
    const tun = this.#openTun();
    try {
      const lease = this.#lease(client, older, request, opened);
      if (older) this.supersede(older);
      configureTun(io, tun, lease, LINK_MTU);
      const session = newSession(request, opened, { lease, tun, now: this.#options.now() });
      clients.attach(client, session);
      return { session, tun };
    } catch (error) {
      io.close(tun.fd);
      this.#names.release(tun.name);
      leases.release(client.id);
      throw error;
    }
  }

  /** Firewall and connect-script have their say; other clients do not wait for them. Closes the device on a refusal. */
  async #admit(
    client: Client,
    session: Session,
    opened: OpenedSession,
    tun: TunDevice,
  ): Promise<CookieReply | WithFds<CookieReply>> {
    const { clients, hooks, leases, io, log, onEvent } = this.#options;
    const refusal = hooks.isIdle(session) ? null : await hooks.opened(client, session);
    if (client.state !== 'INIT') {
      // close() has undone the rest.
      io.close(tun.fd);
      return failed('the client is gone');
    }
    if (refusal !== null) {
      io.close(tun.fd);
      this.#names.release(tun.name);
      clients.detach(client);
      client.session = null;
      clients.pendingAgain(client);
      leases.release(client.id);
      throw new Refused(refusal);
    }
    clients.advance(client, 'opened');
    const { userName: user, lease, tunName: device } = session;
    const addresses = { ipv4: lease.ipv4?.address, ipv6: lease.ipv6?.address };
    log.info({ ...idsOf(client), user, ip: client.remote.address, device, ...addresses }, 'session opened');
    this.#options.stats.sessionBegan('opened');
    this.#options.record(client, null);
    onEvent?.({ type: 'connected', client, session, reason: null, time: this.#options.now() });
    return { body: this.#accept(client, session, opened, tun), fds: [tun.fd] };
  }

  #lease(
    client: Client,
    older: Client | undefined,
    request: Body<'AUTH_COOKIE_REQ'>,
    opened: OpenedSession,
  ): Lease {
    const { leases, reservations } = this.#options;
    const from = older?.id ?? (reservations.take(opened.safeId) ? opened.safeId : null);
    const held = leases.get(client.id);
    if (held !== null && from === null) return held;
    leases.release(client.id);
    const wanted = { seed: opened.ipv4Seed, ipv4: request.ipv4, ipv6: request.ipv6, pool: opened.config };
    const lease = leases.acquire(client.id, wanted, from);
    for (const address of missingExplicit(wanted, lease))
      this.#options.log.warn(
        { client: client.id, user: opened.userName, address },
        'the address of this user cannot be given: somebody else has it, or there is no pool of its family',
      );
    if (lease === null) throw new Refused('no address is free in the pool');
    return lease;
  }

  /** Its user is back, by another login, and needs its addresses. */
  #displace(holder: Client): void {
    const { leases, log } = this.#options;
    log.info(
      { ...idsOf(holder), user: holder.session?.userName },
      'session ends: its user came back by a new login',
    );
    if (holder.session) retireTun(this.#options, holder.session);
    leases.release(holder.id);
    this.disconnect(holder, 'server-disconnect');
  }

  /** ping-leases: takes a lease of which no address answers, before there is a device that it could be routed to. */
  async #leaseSilent(client: Client, request: Body<'AUTH_COOKIE_REQ'>, opened: OpenedSession): Promise<void> {
    const { ping, clients, leases } = this.#options;
    if (!ping || clients.bySid(opened.sid)) return;
    const wanted = { seed: opened.ipv4Seed, ipv4: request.ipv4, ipv6: request.ipv6, pool: opened.config };
    for (let tries = 0; tries < MAX_PINGED; tries++) {
      const lease = leases.acquire(client.id, wanted);
      if (lease === null || !(await ping.answers(lease))) return;
      leases.release(client.id);
      if (client.state !== 'INIT') return;
    }
  }

  #openTun(): TunDevice {
    const { io, workerUid, offload } = this.#options;
    const wanted = { owner: workerUid, vnetHdr: offload, tso: offload, uso: offload };
    return this.#names.open((name) => io.openTun({ name, ...wanted }));
  }

  /** The tunnel has ended; its device goes with the last descriptor. */
  #retire(session: Session): void {
    retireTun(this.#options, session);
    this.#names.release(session.tunName);
  }

  /**
   * secmod has invalidated the cookies: nobody comes back for the addresses that wait for them, and a tunnel that one of
   * them is just opening is refused.
   */
  invalidated(of: { safeId: string } | { userName: string }): void {
    const { reservations } = this.#options;
    if ('safeId' in of) reservations.release(of.safeId);
    else reservations.releaseUser(of.userName);
    for (const opened of this.#opening)
      if ('safeId' in of ? opened.safeId === of.safeId : opened.userName === of.userName)
        this.#opening.delete(opened);
  }

  /** The same cookie came again: the older connection ends without telling its client to stop. */
  supersede(older: Client): void {
    this.#options.log.info(
      { ...idsOf(older), user: older.session?.userName },
      'session moved to a new connection',
    );
    if (older.session) retireTun(this.#options, older.session);
    older.ending = { reason: 'unspecified', stolen: true };
    this.#terminate(older, 'drop', 'unspecified');
  }

  #accept(client: Client, session: Session, opened: OpenedSession, tun: TunDevice): CookieReply {
    const { secmod, tickets, udpPort } = this.#options;
    const { ipv4, ipv6 } = session.lease;
    secmod.sessionAddresses({
      sid: Uint8Array.from(session.sid),
      ipv4: ipv4?.address ?? '',
      ipv6: ipv6?.address ?? '',
      lease: JSON.stringify(session.lease),
    });
    const ticket = tickets.seal(client, session);
    return acceptedReply(session, opened, tun, { udpPort, linkMtu: LINK_MTU, ticket });
  }

  #refuse(client: Client, sid: Uint8Array, reason: string): CookieReply {
    const { clients, log } = this.#options;
    if (client.state === 'INIT') clients.advance(client, 'refused');
    log.info(
      { client: client.id, session: safeIdOf(sid), ip: client.remote.address, reason },
      'session refused',
    );
    return failed(reason);
  }

  #closeAtSecmod(
    sid: Uint8Array,
    discReason: CloseReason,
    counters: Counters,
    serverDisconnected: boolean,
  ): ReturnType<SecmodCalls['closeSession']> {
    const { bytesIn, bytesOut } = counters;
    const body = { sid: Uint8Array.from(sid), bytesIn, bytesOut, discReason, serverDisconnected };
    return this.#options.secmod.closeSession(body);
  }
}

const failed = (reason: string): CookieReply => ({
  reply: 'FAILED',
  reason: reason.slice(0, 256),
  session: null,
});
