/** From an accepted connection to a client in a worker's hands: bans, limits, the start-up message. */
import type { KeyObject } from 'node:crypto';
import { workerHmac } from '../ipc/worker-hmac.js';
import type { Logger } from '../log.js';
import type { Accepted } from '../native/types.js';
import type { BanTable } from './bans.js';
import type { Client, ClientTable } from './clients.js';
import type { FirstBytes, FirstBytesOutcome } from './first-bytes.js';
import type { ProxyReader } from './proxy-reader.js';
import { Quiet } from './quiet.js';
import type { ServerStats } from './server-stats.js';
import type { TlsTicketKeys } from './tls-ticket-keys.js';
import type { Connection, WorkerLink } from './worker-link.js';

/** Option max-clients 0. */
export const DEFAULT_MAX_CLIENTS = 8192;
/** Accepting goes on when the number of clients has fallen below this part of the limit. */
const RESUME_AT = 0.9;
/** The part of max-pending that is told to go at once: logins of real users need time to come to their end. */
const LEAVING_PART = 1 / 8;
/** A login has so long before a newer one may take its place: all who come back after an outage come at once. Seconds. */
const UNTOUCHED_SEC = 3;
/** Connections that wait for a worker, at most. */
const MAX_WAITING = 1024;
/** That connections of one address are refused or end for others is told once in this time. Seconds. */
const TELL_EVERY_SEC = 60;

export interface AcceptorOptions {
  readonly clients: ClientTable;
  readonly bans: BanTable;
  readonly stats: Pick<ServerStats, 'connectionRefused'>;
  readonly log: Logger;
  readonly hmacKey: KeyObject;
  readonly ticketKeys: Pick<TlsTicketKeys, 'current'>;
  readonly connectionPoints: number;
  /** 0: the default of 8192. */
  readonly maxClients: number;
  /** Connections of one address without a tunnel, 0: no limit. */
  readonly maxPending: number;
  /** Connections of all addresses without a tunnel; a further one waits for the place of the oldest. 0: no limit. */
  readonly maxLogins: number;
  /** Pause after a connection while others wait for a worker, milliseconds; 0: none. */
  readonly rateLimitMs: number;
  /** A PROXY header comes first. */
  readonly proxyProtocol: boolean;
  readonly proxy: Pick<ProxyReader, 'read'>;
  readonly firstBytes: Pick<FirstBytes, 'wait' | 'size' | 'of'>;
  readonly endLogin: (client: Client) => void;
  /** Seconds since the epoch. */
  readonly now: () => number;
  readonly closeFd: (fd: number) => void;
  /** Where an accepted connection goes. */
  readonly assign: (connection: Connection) => void;
  /** Connections that have been accepted and wait for a worker. */
  readonly waiting: () => number;
  /** Stops or resumes accepting. */
  readonly setPaused: (paused: boolean) => void;
}

export class Acceptor {
  readonly #options: AcceptorOptions;
  readonly #told: Quiet;
  #full = false;
  #slowedDown: NodeJS.Timeout | null = null;

  constructor(options: AcceptorOptions) {
    this.#options = options;
    this.#told = new Quiet(options.now, TELL_EVERY_SEC);
  }

  get #limit(): number {
    return this.#options.maxClients || DEFAULT_MAX_CLIENTS;
  }

  /** How many connections may wait for a worker. They have no tunnel either: as many as logins at once. */
  get maxWaiting(): number {
    return Math.min(this.#options.maxLogins || MAX_WAITING, MAX_WAITING);
  }

  /** A connection from a listener. */
  accept(accepted: Accepted): void {
    const { proxyProtocol, proxy } = this.#options;
    if (proxyProtocol) proxy.read(accepted);
    else this.admit(accepted);
  }

  /** A connection of which the client's address is known. */
  admit({ fd, remote, local }: Accepted): void {
    const { closeFd, firstBytes } = this.#options;
    if (this.#refuses(remote.address)) {
      closeFd(fd);
      return;
    }
    firstBytes.wait({ fd, remote, local }, (outcome) => this.#onFirstBytes({ fd, remote, local }, outcome));
    this.#checkLimit();
  }

  /** No worker is spent on a connection before its client has said something. */
  #onFirstBytes(connection: Accepted, outcome: FirstBytesOutcome): void {
    const { assign, bans, connectionPoints, log, closeFd } = this.#options;
    const { address: ip } = connection.remote;
    if (outcome === 'bytes') {
      assign(connection);
      this.#slowDown();
      return;
    }
    if (outcome === 'end') bans.refund(ip, connectionPoints);
    const level = outcome === 'silent' && this.#told.isDue(ip) ? 'info' : 'debug';
    log[level]({ ip, outcome }, 'connection closed: its client said nothing');
    closeFd(connection.fd);
    this.released();
  }

  /** A connection that a worker of a supervisor brought. */
  adopt(link: WorkerLink, connection: Connection): boolean {
    const { clients, proxyProtocol, log } = this.#options;
    if (proxyProtocol) {
      log.error('listen-proxy-proto cannot be used with workers that bring their connection; it was refused');
      return false;
    }
    if (clients.size >= this.#limit || this.#refuses(connection.remote.address)) return false;
    // Its process exists already: it does not have to wait until the one that goes is gone.
    if (this.#isFull()) this.#pushOut();
    this.begin(link, connection);
    return true;
  }

  /**
   * Whether one more connection may have a worker. A flood of connections that never log in pushes out its own oldest ones, not
   * those who have a tunnel: at max-pending the oldest is told to go, and whoever waits has its place when it has gone.
   */
  mayBegin(): boolean {
    if (!this.#isFull()) return true;
    const { clients, maxLogins } = this.#options;
    if (clients.leaving < Math.max(1, maxLogins * LEAVING_PART)) this.#pushOut();
    return false;
  }

  #isFull(): boolean {
    const { clients, maxLogins } = this.#options;
    return maxLogins > 0 && clients.pending + clients.leaving >= maxLogins;
  }

  /** Makes the client's entry and hands the connection to the worker. */
  begin(link: WorkerLink, connection: Connection): void {
    const { clients, hmacKey, ticketKeys, log, now } = this.#options;
    const { remote, local } = connection;
    const acceptedAt = now();
    const origRemoteIp = remote.address;
    const client = clients.add({ worker: link, remote, local, origRemoteIp, acceptedAt });
    const hmac = workerHmac(hmacKey, { origRemoteIp, ourIp: local.address, sessionStartTime: acceptedAt });
    log.debug(
      { client: client.id, ip: remote.address, port: remote.port, worker: link.pid },
      'connection accepted',
    );
    link.start(client, connection, { hmac, tickets: ticketKeys.current() });
  }

  #pushOut(): void {
    const { clients, maxLogins, endLogin, log, now } = this.#options;
    const oldest = clients.oldestPending;
    // A clock that was put back makes nobody young.
    if (oldest === undefined || Math.abs(now() - oldest.acceptedAt) < UNTOUCHED_SEC) return;
    const { address: ip } = oldest.remote;
    const level = this.#told.isDue(ip) ? 'info' : 'debug';
    log[level]({ client: oldest.id, ip, limit: maxLogins }, 'max-pending reached; the oldest is closed');
    clients.setLeaving(oldest);
    endLogin(oldest);
  }

  /** A connection that has waited for a worker for too long. */
  turnAway({ fd, remote }: Connection): void {
    const { closeFd, log, stats } = this.#options;
    stats.connectionRefused('no-worker');
    const level = this.#told.isDue(remote.address) ? 'warn' : 'debug';
    log[level]({ ip: remote.address }, 'too many connections wait for a worker; the oldest is closed');
    if (fd !== null) closeFd(fd);
  }

  /** A client is gone: there may be room again. */
  released(): void {
    if (!this.#full || this.#count() >= this.#limit * RESUME_AT) return;
    this.#full = false;
    this.#options.log.info('below max-clients again; accepting connections');
    this.#setPaused();
  }

  /** Forgets the timers. */
  close(): void {
    if (this.#slowedDown) clearTimeout(this.#slowedDown);
  }

  /** Whether a connection of this address is not taken, which is counted and logged. */
  #refuses(ip: string): boolean {
    const { log, stats } = this.#options;
    const refusal = this.#refusal(ip);
    if (refusal === null) return false;
    stats.connectionRefused(refusal);
    // Once in a while for each address: a flood must not fill the log.
    const level = this.#told.isDue(ip) ? 'info' : 'debug';
    log[level]({ ip, reason: refusal }, 'connection refused');
    return true;
  }

  #refusal(ip: string): 'banned' | 'pending-limit' | null {
    const { bans, clients, connectionPoints, firstBytes, maxPending } = this.#options;
    if (bans.isBanned(ip) || !bans.add(ip, connectionPoints)) return 'banned';
    return maxPending > 0 && clients.pendingOf(ip) + firstBytes.of(ip) >= maxPending ? 'pending-limit' : null;
  }

  /** rate-limit-ms: gives those who wait for a worker time before the next connection is taken. */
  #slowDown(): void {
    const { rateLimitMs, waiting } = this.#options;
    if (rateLimitMs === 0 || this.#slowedDown !== null || waiting() === 0) return;
    this.#slowedDown = setTimeout(() => {
      this.#slowedDown = null;
      this.#setPaused();
    }, rateLimitMs);
    this.#setPaused();
  }

  #setPaused(): void {
    this.#options.setPaused(this.#full || this.#slowedDown !== null);
  }

  #count(): number {
    const { clients, firstBytes, waiting } = this.#options;
    return clients.size + firstBytes.size + waiting();
  }

  #checkLimit(): void {
    if (this.#full || this.#count() < this.#limit) return;
    this.#full = true;
    this.#options.log.warn({ limit: this.#limit }, 'max-clients reached; new connections wait');
    this.#setPaused();
  }
}
