/**
 * One worker process as main sees it. Nothing that it says is trusted: the clients that it may speak of are in
 * this link's own map, so it cannot name another worker's client whatever handle it sends.
 */
import { isIP } from 'node:net';
import { VpnError } from '../errors.js';
import type { Channel, Handlers } from '../ipc/api.js';
import type { Body } from '../ipc/messages.js';
import type { Logger } from '../log.js';
import type { CloseReason, SocketAddress } from '../native/types.js';
import type { BanTable } from './bans.js';
import type { Client, ClientWorker } from './clients.js';
import type { Resumption } from './resume.js';
import type { Sessions } from './sessions.js';
import type { TlsTickets } from './tls-ticket-keys.js';

/** A connection before a worker has it. `fd` null: the worker holds it already (WORKER_ADOPT). */
export interface Connection {
  readonly fd: number | null;
  readonly remote: SocketAddress;
  readonly local: SocketAddress;
}

/** What a worker gets with a connection. */
export interface Credentials {
  readonly hmac: Uint8Array;
  readonly tickets: TlsTickets;
}

export interface WorkerLinkOptions {
  readonly pid: number;
  /** Started by this main; others come from a supervisor and bring their connection. */
  readonly own: boolean;
  /** It may bring a connection of its own (WORKER_ADOPT). */
  readonly mayAdopt: boolean;
  readonly log: Logger;
  readonly sessions: Sessions;
  readonly resumption: Resumption;
  readonly bans: BanTable;
  readonly onReady: (link: WorkerLink) => void;
  /** A client of this worker ended or has its tunnel; it may take another. */
  readonly onRelease: (link: WorkerLink) => void;
  /** A worker with a connection of its own. False: the address is refused. */
  readonly onAdopt: (link: WorkerLink, connection: Connection) => boolean;
  readonly onViolation: (link: WorkerLink, detail: string) => void;
}

export class WorkerLink implements ClientWorker {
  readonly pid: number;
  readonly own: boolean;
  readonly clients = new Map<number, Client>();
  channel: Channel<'main', 'worker'> | null = null;
  /** Said WORKER_READY. */
  ready = false;
  /** Said WORKER_FULL, and none of its tunnels has ended since. */
  full = false;
  /** Connections that it was given, ended ones included. */
  served = 0;
  /** When it last had to do with a client, milliseconds of the monotonic clock. */
  lastUsedMs = performance.now();
  readonly handlers: Handlers<'main', 'worker'>;
  readonly #options: WorkerLinkOptions;
  /** Clients without a tunnel. */
  readonly #logins = new Set<Client>();
  #adopted = false;

  constructor(options: WorkerLinkOptions) {
    this.#options = options;
    this.pid = options.pid;
    this.own = options.own;
    this.handlers = this.#makeHandlers();
  }

  get load(): number {
    return this.clients.size;
  }

  /** How many of its clients have no tunnel yet. */
  get logins(): number {
    return this.#logins.size;
  }

  /** State of a client of this worker, for the `when` of messages; undefined: it has no such client. */
  stateOf = (client: number): string | undefined => this.clients.get(client)?.state;

  sendTerminate(client: number, how: 'disconnect' | 'drop', reason: CloseReason): void {
    this.channel?.send('TERMINATE', { client, how, reason });
  }

  cutOff(detail: string): void {
    this.#options.onViolation(this, detail);
  }

  sendUdp(client: number, hello: boolean, data: Uint8Array, fd: number): void {
    this.channel?.send('UDP_FD', { client, hello, data }, [fd]);
  }

  /** Hands the connection over; the descriptor is closed here once it is sent. */
  start(client: Client, connection: Connection, { hmac, tickets }: Credentials): void {
    this.clients.set(client.id, client);
    this.#logins.add(client);
    this.served++;
    this.channel?.send(
      'WORKER_STARTUP',
      {
        client: client.id,
        remoteIp: client.remote.address,
        remotePort: client.remote.port,
        ourIp: client.local.address,
        ourPort: client.local.port,
        origRemoteIp: client.origRemoteIp,
        sessionStartTime: client.acceptedAt,
        hmac,
        ticketKeys: tickets.keys,
        ticketLifetime: tickets.lifetimeSec,
      },
      connection.fd === null ? [] : [connection.fd],
    );
  }

  /** The process is gone: so are its clients. */
  lost(detail: string): void {
    const clients = [...this.clients.values()];
    this.clients.clear();
    for (const client of clients) {
      this.#options.sessions.close(client, client.ending?.reason ?? 'error', detail, null);
    }
  }

  #makeHandlers(): Handlers<'main', 'worker'> {
    const { sessions, bans } = this.#options;
    return {
      WORKER_READY: () => {
        if (this.ready) throw this.#violation('WORKER_READY came twice');
        this.ready = true;
        this.#options.onReady(this);
      },
      WORKER_ADOPT: (body) => this.#adopt(body),
      WORKER_RESUME: (body) => this.#resume(body),
      AUTH_COOKIE_REQ: (body) => sessions.open(this.#client(body.client), body),
      SESSION_INFO: (body) => {
        const client = this.#client(body.client);
        sessions.reports.info(client, {
          tlsCipher: body.tlsCiphersuite,
          dtlsCipher: body.dtlsCiphersuite,
          dtlsActive: body.dtlsCiphersuite !== '',
          cstpCompression: body.cstpCompr,
          dtlsCompression: body.dtlsCompr,
          pid: body.pid,
        });
        if (this.#logins.delete(client)) this.#released();
      },
      HANDSHAKE: (body) => sessions.reports.handshake(this.#client(body.client), body),
      TUN_MTU: (body) => sessions.reports.setMtu(this.#client(body.client), body.mtu),
      CLI_STATS: (body) => {
        const client = this.#client(body.client);
        sessions.reports.count(client, body);
        sessions.reports.dtls(client, body.dtlsActive);
      },
      BAN_IP: (body) => ({ allowed: bans.add(this.#client(body.client).remote.address, body.score) }),
      WORKER_FULL: (body) => {
        this.#client(body.client);
        this.#outOfDescriptors();
      },
      CLIENT_CLOSED: (body) => {
        const client = this.#client(body.client);
        this.clients.delete(client.id);
        // What a login had was not enough for its tunnel.
        if (!this.#logins.delete(client)) this.full = false;
        sessions.close(client, client.ending?.reason ?? body.reason, body.detail, body);
        this.#released();
      },
    };
  }

  #outOfDescriptors(): void {
    if (this.full) return;
    this.full = true;
    this.#options.log.warn(
      { worker: this.pid, clients: this.load },
      'worker is out of descriptors: others get its connections until one of its tunnels has ended',
    );
  }

  #released(): void {
    this.lastUsedMs = performance.now();
    this.#options.onRelease(this);
  }

  /** The client with this handle, if it is this worker's; anything else breaks the protocol. */
  #client(id: number): Client {
    const client = this.clients.get(id);
    if (client === undefined) throw this.#violation(`client ${id} is not its own`);
    return client;
  }

  #adopt(body: { remoteIp: string; remotePort: number; ourIp: string; ourPort: number }): void {
    // A worker of a main has no connection to bring: it would be inventing an address.
    if (!this.#options.mayAdopt || this.#adopted) throw this.#violation('WORKER_ADOPT is not allowed');
    if (isIP(body.remoteIp) === 0 || isIP(body.ourIp) === 0)
      throw this.#violation('WORKER_ADOPT without addresses');
    this.#adopted = true;
    const remote = { address: body.remoteIp, port: body.remotePort };
    const local = { address: body.ourIp, port: body.ourPort };
    if (!this.#options.onAdopt(this, { fd: null, remote, local })) this.channel?.close();
  }

  /** A worker that this main started has no client of another main. */
  #resume(body: Body<'WORKER_RESUME'>): Body<'WORKER_RESUME_REP'> {
    if (this.own) throw this.#violation('WORKER_RESUME is not allowed');
    const { client, reply } = this.#options.resumption.resume(this, body);
    if (client) {
      this.clients.set(client.id, client);
      this.served++;
    }
    return reply;
  }

  /** Cuts the worker off; returns the error for the handler to throw. */
  #violation(detail: string): VpnError {
    this.#options.onViolation(this, detail);
    return new VpnError('OCS_IPC_VIOLATION', { peer: `worker ${this.pid}`, detail });
  }
}
