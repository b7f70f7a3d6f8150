/** From an accepted connection to a client in a worker's hands: bans, limits, the start-up message. */
import { workerHmac } from '../ipc/worker-hmac.js';
import type { Logger } from '../log.js';
import type { Accepted } from '../native/types.js';
import type { BanTable } from './bans.js';
import type { ClientTable } from './clients.js';
import type { Connection, WorkerLink } from './worker-link.js';

const DEFAULT_MAX_CLIENTS = 8192;
/** Accepting goes on when the number of clients has fallen below this part of the limit. */
const RESUME_AT = 0.9;

export interface AcceptorOptions {
  readonly clients: ClientTable;
  readonly bans: BanTable;
  readonly log: Logger;
  readonly hmacKey: Uint8Array;
  readonly connectionPoints: number;
  /** 0: the default of 8192. */
  readonly maxClients: number;
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
  readonly #limit: number;
  #full = false;

  constructor(options: AcceptorOptions) {
    this.#options = options;
    this.#limit = options.maxClients || DEFAULT_MAX_CLIENTS;
  }

  /** A connection from a listener. */
  accept({ fd, remote, local }: Accepted): void {
    const { closeFd, assign, log } = this.#options;
    if (!this.#admits(remote.address)) {
      log.debug({ ip: remote.address }, 'banned address; connection closed');
      closeFd(fd);
      return;
    }
    assign({ fd, remote, local });
    this.#checkLimit();
  }

  /** A connection that a worker of a supervisor brought. */
  adopt(link: WorkerLink, connection: Connection): boolean {
    const full = this.#options.clients.size >= this.#limit;
    if (full || !this.#admits(connection.remote.address)) return false;
    this.begin(link, connection);
    return true;
  }

  /** Makes the client's entry and hands the connection to the worker. */
  begin(link: WorkerLink, connection: Connection): void {
    const { clients, hmacKey, log, now } = this.#options;
    const { remote, local } = connection;
    const acceptedAt = now();
    const origRemoteIp = remote.address;
    const client = clients.add({ worker: link, remote, local, origRemoteIp, acceptedAt });
    const hmac = workerHmac(hmacKey, { origRemoteIp, ourIp: local.address, sessionStartTime: acceptedAt });
    log.debug(
      { client: client.id, ip: remote.address, port: remote.port, worker: link.pid },
      'connection accepted',
    );
    link.start(client, connection, hmac);
  }

  /** A client is gone: there may be room again. */
  released(): void {
    if (!this.#full || this.#count() >= this.#limit * RESUME_AT) return;
    this.#full = false;
    this.#options.log.info('below max-clients again; accepting connections');
    this.#options.setPaused(false);
  }

  #admits(ip: string): boolean {
    const { bans, connectionPoints } = this.#options;
    return !bans.isBanned(ip) && bans.add(ip, connectionPoints);
  }

  #count(): number {
    return this.#options.clients.size + this.#options.waiting();
  }

  #checkLimit(): void {
    if (this.#full || this.#count() < this.#limit) return;
    this.#full = true;
    this.#options.log.warn({ limit: this.#limit }, 'max-clients reached; new connections wait');
    this.#options.setPaused(true);
  }
}
