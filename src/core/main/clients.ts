/**
 * main's table of clients: one entry per accepted connection, from WORKER_STARTUP to CLIENT_CLOSED, with every
 * index that a datagram, a cookie or an administrator looks something up by. All look-ups are O(1).
 */
import type { Body } from '../ipc/messages.js';
import type { CloseReason, SocketAddress } from '../native/types.js';
import { ownerOf } from '../util/ip-owner.js';
import type { Lease } from './leases.js';
import { type ClientEvent, type ClientState, START, step } from './main-client.machine.js';

export type SessionConfig = NonNullable<Body<'SECM_SESSION_REPLY'>['session']>['config'];

export type SessionLogin = Pick<
  NonNullable<Body<'SECM_SESSION_REPLY'>['session']>,
  'ip' | 'ipv4Seed' | 'tlsAuthOk' | 'devicePlatform' | 'deviceType'
>;

/** What main needs of the worker that serves a client. */
export interface ClientWorker {
  readonly pid: number;
  sendTerminate(client: number, how: 'disconnect' | 'drop', reason: CloseReason): void;
  /** It does not do what it is told: ends the process. */
  cutOff(detail: string): void;
  /** The socket is closed once it is sent. */
  sendUdp(client: number, hello: boolean, data: Uint8Array, fd: number): void;
}

export interface Counters {
  /** Inner packet bytes from the client, and to it. */
  bytesIn: number;
  bytesOut: number;
  packetsIn: number;
  packetsOut: number;
}

/** Packets that were dropped, by reason. */
export type Drops = Body<'CLI_STATS'>['drops'];

/** A worker's report about a tunnel. */
export interface Report extends Counters {
  readonly drops: Drops;
}

/** What the worker tells of a tunnel's channels (SESSION_INFO), to each main anew. */
export interface Channels {
  tlsCipher: string;
  dtlsCipher: string;
  dtlsActive: boolean;
  /** As the headers spell it; '' for none. */
  cstpCompression: string;
  dtlsCompression: string;
  /** Process that carries the packets. */
  pid: number;
}

/** Before the worker has told. */
export const UNTOLD: Readonly<Channels> = {
  tlsCipher: '',
  dtlsCipher: '',
  dtlsActive: false,
  cstpCompression: '',
  dtlsCompression: '',
  pid: 0,
};

/** A tunnel: what exists from AUTH_COOKIE_REP to CLIENT_CLOSED. */
export interface Session extends Channels {
  readonly sid: Uint8Array;
  readonly safeId: string;
  readonly userName: string;
  readonly groupName: string;
  readonly vhost: string;
  readonly userAgent: string;
  readonly devicePlatform: string;
  readonly deviceType: string;
  readonly hostname: string;
  /** What secmod knows of the login, for a secmod that has lost it. */
  readonly login: SessionLogin;
  readonly config: SessionConfig;
  readonly lease: Lease;
  readonly tunName: string;
  readonly ifindex: number;
  /** Extension 48018 or session id of the client's DTLS hello. */
  readonly dtlsSessionId: Uint8Array;
  /** Seconds since the epoch: login, and this connection. */
  readonly startedAt: number;
  readonly connectedAt: number;
  mtu: number;
  readonly counters: Counters;
  readonly drops: Drops;
  /** Adopted: the first report tells what was counted before this process began. */
  awaitsBaseline: boolean;
}

export interface Client {
  readonly id: number;
  readonly worker: ClientWorker;
  readonly remote: SocketAddress;
  readonly local: SocketAddress;
  /** Address that main vouches for to secmod: the TCP peer's, or what the PROXY header said. */
  readonly origRemoteIp: string;
  /** Seconds since the epoch. */
  readonly acceptedAt: number;
  state: ClientState;
  /** Its TLS handshake is complete. */
  secure: boolean;
  session: Session | null;
  /** Set when the server ended it: CLIENT_CLOSED is then not the client's own doing. */
  ending: { readonly reason: CloseReason; readonly stolen: boolean } | null;
  /** Source of the last UDP hand-over, for records that roamed. */
  udpIp: string | null;
}

type NewClient = Pick<Client, 'worker' | 'remote' | 'local' | 'origRemoteIp' | 'acceptedAt'>;

export class ClientTable {
  readonly #byId = new Map<number, Client>();
  readonly #bySid = new Map<string, Client>();
  readonly #byDtlsId = new Map<string, Client>();
  readonly #byUser = new Map<string, Set<Client>>();
  readonly #byTcpIp = new Map<string, Set<Client>>();
  /** Without a tunnel, in order of arrival, and by address. */
  readonly #logins = new Set<Client>();
  readonly #pending = new Map<string, Set<Client>>();
  /** Told to go before they had a tunnel. */
  readonly #leaving = new Set<Client>();
  readonly #byUdpIp = new Map<string, Set<Client>>();
  readonly #nextHandle: () => number;

  /** `nextHandle`: handles, 1 to 2^32 − 1; one that is in use is passed over. */
  constructor(nextHandle: () => number = countFrom(1)) {
    this.#nextHandle = nextHandle;
  }

  get size(): number {
    return this.#byId.size;
  }

  /** Clients with a tunnel. */
  get sessions(): number {
    return this.#bySid.size;
  }

  all(): IterableIterator<Client> {
    return this.#byId.values();
  }

  /** How many connections of this address (IPv6: of its /64) have not asked for a tunnel yet. */
  pendingOf(ip: string): number {
    return this.#pending.get(ownerOf(ip))?.size ?? 0;
  }

  /** Connections that have not asked for a tunnel yet. */
  get pending(): number {
    return this.#logins.size;
  }

  /** The one of them that has been there longest. */
  get oldestPending(): Client | undefined {
    return this.#logins.values().next().value;
  }

  /** Connections that were told to go before they had a tunnel, and that their workers have not closed yet. */
  get leaving(): number {
    return this.#leaving.size;
  }

  byId(id: number): Client | undefined {
    return this.#byId.get(id);
  }

  /** The connection that holds the session with this SID now. */
  bySid(sid: Uint8Array): Client | undefined {
    return this.#bySid.get(keyOf(sid));
  }

  byDtlsId(id: Uint8Array): Client | undefined {
    return this.#byDtlsId.get(keyOf(id));
  }

  byUser(userName: string): ReadonlySet<Client> {
    return this.#byUser.get(userName) ?? NONE;
  }

  /** The one session whose packets come from `ip`: by the last UDP source, else by the TCP address. */
  onlyByAddress(ip: string): Client | undefined {
    return only(this.#byUdpIp.get(ip)) ?? only(this.#byTcpIp.get(ip));
  }

  /** A new connection with a handle of its own (32 bits, never one that is in use). */
  add(entry: NewClient): Client {
    let id = this.#nextHandle();
    while (this.#byId.has(id)) id = this.#nextHandle();
    return this.#enter(id, entry);
  }

  /** A connection that an earlier main accepted, under the handle that it had; null if that is taken. */
  restore(entry: NewClient & Pick<Client, 'id'>): Client | null {
    return this.#byId.has(entry.id) ? null : this.#enter(entry.id, entry);
  }

  #enter(id: number, entry: NewClient): Client {
    const client: Client = {
      id,
      worker: entry.worker,
      remote: entry.remote,
      local: entry.local,
      origRemoteIp: entry.origRemoteIp,
      acceptedAt: entry.acceptedAt,
      state: START,
      secure: false,
      session: null,
      ending: null,
      udpIp: null,
    };
    this.#byId.set(client.id, client);
    this.pendingAgain(client);
    return client;
  }

  /** It has no tunnel yet, or was refused the one that it was about to get. */
  pendingAgain(client: Client): void {
    this.#logins.add(client);
    addTo(this.#pending, ownerOf(client.remote.address), client);
  }

  /** Takes the next state. Throws if the event is not legal: a fault of main itself. */
  advance(client: Client, event: ClientEvent): void {
    const next = step(client.state, event);
    if (next === null) throw new Error(`client ${client.id}: ${event} in ${client.state}`);
    client.state = next;
  }

  /** It is on its way to a tunnel or to its end. */
  notPending(client: Client): void {
    this.#logins.delete(client);
    removeFrom(this.#pending, ownerOf(client.remote.address), client);
  }

  /** It was told to go, and takes up its worker until that has closed it. */
  setLeaving(client: Client): void {
    this.notPending(client);
    this.#leaving.add(client);
  }

  /** Makes the session findable. An older holder of the same SID loses it. */
  attach(client: Client, session: Session): void {
    const older = this.#bySid.get(keyOf(session.sid));
    if (older) this.detach(older);
    client.session = session;
    this.notPending(client);
    this.#bySid.set(keyOf(session.sid), client);
    this.#byDtlsId.set(keyOf(session.dtlsSessionId), client);
    addTo(this.#byUser, session.userName, client);
    addTo(this.#byTcpIp, client.remote.address, client);
  }

  /** The session is no longer found by anything but the client's handle. */
  detach(client: Client): void {
    const { session } = client;
    if (session === null) return;
    if (this.#bySid.get(keyOf(session.sid)) === client) this.#bySid.delete(keyOf(session.sid));
    this.#byDtlsId.delete(keyOf(session.dtlsSessionId));
    removeFrom(this.#byUser, session.userName, client);
    removeFrom(this.#byTcpIp, client.remote.address, client);
    this.#forgetUdp(client);
  }

  /** Remembers where the client's datagrams come from. */
  setUdpSource(client: Client, ip: string): void {
    if (client.udpIp === ip) return;
    this.#forgetUdp(client);
    client.udpIp = ip;
    addTo(this.#byUdpIp, ip, client);
  }

  remove(client: Client): void {
    this.detach(client);
    this.notPending(client);
    this.#leaving.delete(client);
    this.#byId.delete(client.id);
  }

  #forgetUdp(client: Client): void {
    if (client.udpIp !== null) removeFrom(this.#byUdpIp, client.udpIp, client);
    client.udpIp = null;
  }
}

/** For the log: the connection, and the session once there is one. */
export const idsOf = ({ id, session }: Pick<Client, 'id' | 'session'>) => ({
  client: id,
  ...(session && { session: session.safeId }),
});

/** 1, 2, 3, … and after 2^32 − 1 from the beginning. */
function countFrom(first: number): () => number {
  let next = first;
  return () => {
    const handle = next;
    next = handle >= 0xffff_ffff ? 1 : handle + 1;
    return handle;
  };
}

const NONE: ReadonlySet<Client> = new Set();
const keyOf = (bytes: Uint8Array): string =>
  Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('latin1');

function only(set: ReadonlySet<Client> | undefined): Client | undefined {
  if (set?.size !== 1) return undefined;
  for (const client of set) return client;
  return undefined;
}

function addTo(index: Map<string, Set<Client>>, key: string, client: Client): void {
  const set = index.get(key);
  if (set) set.add(client);
  else index.set(key, new Set([client]));
}

function removeFrom(index: Map<string, Set<Client>>, key: string, client: Client): void {
  const set = index.get(key);
  if (set?.delete(client) && set.size === 0) index.delete(key);
}

/** Counters of a tunnel that has carried nothing. */
export const ZERO: Counters = { bytesIn: 0, bytesOut: 0, packetsIn: 0, packetsOut: 0 };

export const noDrops = (): Drops => ({
  tooBig: 0,
  malformed: 0,
  source: 0,
  rateLimit: 0,
  streamFull: 0,
  tunFull: 0,
  replay: 0,
});

/** Takes a report over and returns what is new in it. Counts only grow: smaller values are not believed. */
export function raise(session: Pick<Session, 'counters' | 'drops'>, reported: Report): Report {
  return {
    ...raiseEach(session.counters, reported),
    drops: raiseEach(session.drops, reported.drops),
  };
}

function raiseEach<C extends Record<keyof C, number>>(known: C, reported: C): C {
  const grown = { ...known };
  for (const name of Object.keys(known) as (keyof C)[]) {
    const more = Math.max(0, reported[name] - known[name]);
    grown[name] = more as C[keyof C];
    known[name] = (known[name] + more) as C[keyof C];
  }
  return grown;
}
