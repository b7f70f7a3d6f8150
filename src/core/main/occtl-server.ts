/**
 * The socket of ocserv's own control program (option use-occtl): its messages, answered by the same handlers as
 * `vpn ctl`. One byte command, four bytes length in host byte order, a Protocol Buffers body.
 */
import { parsePorts } from '../config/fw-ports.js';
import * as occtl from '../control/occtl-messages.js';
import { decode, encode, type Message, type MessageFields } from '../control/protobuf.js';
import type { CookieData, StatusData, UserData } from '../control/results.js';
import { MAX_REQUEST, type VerbHandlers } from '../control/verbs.js';
import { VpnError } from '../errors.js';
import type { Logger } from '../log.js';
import { type AdminIo, type AdminPeer, type AdminProtocol, AdminSocket } from './admin-socket.js';
import { eventData } from './control-handlers.js';
import { ControlProtocol } from './control-server.js';
import type { EventFeed } from './event-feed.js';
import { formatIp, parseIp, widthOf } from './ip.js';

export interface OcctlServerOptions {
  readonly io: AdminIo;
  readonly path: string;
  readonly log: Logger;
  readonly handlers: VerbHandlers;
  readonly events: EventFeed;
}

const HEADER = 5;
const MAX_BODY = 256;
/** No request of occtl has this number. */
const JSON_START = '{'.charCodeAt(0);
const NAMES: ReadonlyMap<number, occtl.OcctlRequest> = new Map(
  Object.entries(occtl.requests).map(([name, number]) => [number, name as occtl.OcctlRequest]),
);
/** PS_*, as in reference ipc-and-processes §3. */
const STATUS = { 'pre-auth': 0, 'auth failed': 1, authenticating: 3, connected: 4, closed: 1 } as const;
const COOKIE_STATUS = { 'pre-auth': 0, 'auth failed': 1, authenticating: 3, authenticated: 4 } as const;
/** ocserv's numbers of the protocols in restrict-user-to-ports. */
const FW_PROTOCOL = { udp: 0, tcp: 1, sctp: 2, esp: 3, icmp: 4, icmpv6: 5 } as const;
/** Texts and numbers of the reasons (reference ipc-and-processes §10). */
const REASONS: Readonly<Record<string, readonly [number, string]>> = {
  unspecified: [1, 'unspecified'],
  'user-disconnect': [2, 'user disconnected'],
  'server-disconnect': [3, 'server disconnected'],
  'idle-timeout': [4, 'idle timeout'],
  'dpd-timeout': [5, 'DPD timeout'],
  error: [6, 'unspecified error'],
  'session-timeout': [7, 'session timeout'],
  'temporary-disconnect': [8, 'anyconnect client disconnected'],
  'health-probe': [9, 'TCP health probe'],
};

export class OcctlServer implements AdminProtocol {
  readonly maxRequest = MAX_REQUEST;
  /** Our own occtl speaks JSON lines on this socket. */
  readonly #json: ControlProtocol;
  readonly #options: OcctlServerOptions;
  readonly #socket: AdminSocket;

  /** Listens at once. The caller has made sure that the path is free, and removes it after close(). */
  constructor(options: OcctlServerOptions) {
    this.#options = options;
    this.#json = new ControlProtocol(options);
    const { io, path, log } = options;
    this.#socket = new AdminSocket({ io, path, gid: null, log, protocol: this });
  }

  close(): void {
    this.#socket.close();
  }

  requestLength(input: Buffer): number {
    if (input[0] === JSON_START) return this.#json.requestLength(input);
    if (input.length < HEADER) return 0;
    const body = input.readUInt32LE(1);
    if (body > MAX_BODY) throw new RangeError('the request is too long');
    return input.length < HEADER + body ? 0 : HEADER + body;
  }

  async answer(request: Buffer, peer: AdminPeer): Promise<Buffer> {
    if (request[0] === JSON_START) return this.#json.answer(request, peer);
    const { log } = this.#options;
    const name = NAMES.get(request[0] ?? 0);
    try {
      if (name !== undefined) return await this.#dispatch(name, request.subarray(HEADER), peer);
      log.info({ command: request[0] }, 'unknown request on the occtl socket');
    } catch (error) {
      log.error({ err: error, request: name }, 'request on the occtl socket failed');
    }
    return Buffer.alloc(0);
  }

  async #dispatch(name: occtl.OcctlRequest, body: Buffer, peer: AdminPeer): Promise<Buffer> {
    const { handlers, log } = this.#options;
    const userName = () => ({ name: String(decode(occtl.nameRequest, body).name ?? '') });
    const id = () => ({ id: Number(decode(occtl.idRequest, body).id ?? 0) });
    const bytes = () => Buffer.from((decode(occtl.bytesRequest, body).bytes as Uint8Array | undefined) ?? []);
    const done = (reply: occtl.OcctlReply, status: boolean) => frame(reply, occtl.boolReply, { status });
    switch (name) {
      case 'STATUS':
        return frame('STATUS', occtl.statusReply, statusMessage(await handlers.status({})));
      case 'LIST':
        return users(await handlers.users({}));
      case 'USER_INFO':
        return users(await foundOr([], () => handlers.user(userName())));
      case 'ID_INFO':
        return users(await foundOr([], () => handlers.id(id())));
      case 'DISCONNECT_NAME':
        return done(name, (await foundOr(null, () => handlers['disconnect-user'](userName()))) !== null);
      case 'DISCONNECT_ID':
        return done(name, (await foundOr(null, () => handlers['disconnect-id'](id()))) !== null);
      case 'TERMINATE_USER':
        return done(name, (await foundOr(null, () => handlers['terminate-user'](userName()))) !== null);
      case 'TERMINATE_ID':
        return done(name, (await foundOr(null, () => handlers['terminate-id'](id()))) !== null);
      case 'TERMINATE_SESSION': {
        const safeId = bytes().toString('latin1');
        return done(
          name,
          (await foundOr(null, () => handlers['terminate-session']({ id: safeId }))) !== null,
        );
      }
      case 'UNBAN_IP':
        return done(name, (await handlers['unban-ip']({ ip: ipText(bytes()) })).unbanned);
      case 'LIST_BANNED': {
        const info = (await handlers.bans({})).map(({ ip, score, expires }) => ({
          ip: ipBytes(ip),
          score,
          expires: expires || null,
        }));
        return frame('LIST_BANNED', occtl.banList, { info });
      }
      case 'LIST_COOKIES': {
        const cookies = (await handlers.sessions({})).map(cookieMessage);
        return frame('LIST_COOKIES', occtl.cookieList, { cookies });
      }
      case 'RELOAD':
        // It is scheduled: the result is in the log, and in the answer to `vpn ctl reload`.
        Promise.resolve(handlers.reload({})).catch((error: unknown) =>
          log.debug({ err: error }, 'reload failed'),
        );
        return done(name, true);
      case 'STOP':
        await handlers.stop({});
        return done(name, true);
      case 'TOP':
        return this.#stream(await handlers.users({}), peer);
    }
  }

  /** Everybody who is connected, then each change. */
  #stream(connected: readonly UserData[], peer: AdminPeer): Buffer {
    peer.stream(
      this.#options.events.subscribe((event) => {
        const { type, reason, user } = eventData(event);
        const [number, text] = REASONS[reason ?? ''] ?? [null, null];
        const update = {
          connected: type !== 'disconnected',
          disconReason: number,
          disconReasonText: text,
          user: { user: [userMessage(user)] },
        };
        peer.push(frame('TOP', occtl.topUpdate, update));
      }),
    );
    return users(connected);
  }
}

/** The answer, or `otherwise` when what was asked for is not there. */
async function foundOr<T, O>(otherwise: O, ask: () => T | Promise<T>): Promise<T | O> {
  try {
    return await ask();
  } catch (error) {
    if (error instanceof VpnError && ['OCS_CTL_NOT_FOUND', 'OCS_CTL_AMBIGUOUS'].includes(error.code))
      return otherwise;
    throw error;
  }
}

function frame(reply: occtl.OcctlReply, fields: MessageFields, message: Message): Buffer {
  const body = encode(fields, message);
  const header = Buffer.alloc(HEADER);
  header.writeUInt8(occtl.replies[reply], 0);
  header.writeUInt32LE(body.length, 1);
  return Buffer.concat([header, body]);
}

const users = (all: readonly UserData[]): Buffer =>
  frame('LIST', occtl.userList, { user: all.map(userMessage) });

function statusMessage(status: StatusData): Message {
  const { period } = status;
  const minutes = (seconds: number) => Math.floor(seconds / 60);
  return {
    status: true,
    pid: status.pid,
    secModPids: status.secmodPid === null ? [] : [status.secmodPid],
    activeClients: status.activeSessions,
    startTime: status.upSince,
    storedTlsSessions: status.tlsDbEntries,
    bannedIps: status.bannedIps,
    secmodClientEntries: status.secmodEntries,
    sessionTimeouts: period.timedOutSessions,
    sessionIdleTimeouts: period.timedOutIdleSessions,
    sessionErrors: period.errorSessions,
    sessionsClosed: period.sessionsHandled,
    kbytesIn: Math.floor(period.rxBytes / 1000),
    kbytesOut: Math.floor(period.txBytes / 1000),
    minMtu: period.minMtu,
    maxMtu: period.maxMtu,
    lastReset: period.since,
    avgAuthTime: Math.floor(period.averageAuthMs / 1000),
    avgSessionMins: minutes(period.averageSessionSec),
    maxAuthTime: Math.floor(period.maxAuthMs / 1000),
    maxSessionMins: minutes(period.maxSessionSec),
    authFailures: period.authFailures,
    totalSessionsClosed: status.totalSessions,
    totalAuthFailures: status.totalAuthFailures,
  };
}

function userMessage(user: UserData): Message {
  const { session } = user;
  const ports = parsePorts(session?.restrictedToPorts ?? '');
  return {
    id: user.id,
    username: session?.userName ?? '',
    groupname: session?.groupName ?? '',
    ip: user.remoteIp,
    tun: session?.device ?? '',
    remoteIp: session?.ipv4Local ?? '',
    localIp: session?.ipv4 ?? '',
    remoteIp6: session?.ipv6Local ?? '',
    localIp6: session?.ipv6 ?? '',
    connTime: user.connectedAt,
    hostname: session?.hostname ?? '',
    userAgent: session?.userAgent ?? '',
    status: STATUS[user.state],
    tlsCiphersuite: session?.tlsCiphersuite ?? '',
    dtlsCiphersuite: session?.dtlsActive ? session.dtlsCipher : '',
    rxPerSec: session?.rxLimit ?? 0,
    txPerSec: session?.txLimit ?? 0,
    dns: session?.dns ?? [],
    nbns: session?.nbns ?? [],
    routes: session?.routes ?? [],
    iroutes: session?.iroutes ?? [],
    mtu: session?.mtu ?? null,
    cstpCompr: session?.cstpCompression || null,
    dtlsCompr: session?.dtlsCompression || null,
    noRoutes: session?.noRoutes ?? [],
    localDevIp: user.localDeviceIp,
    domains: session?.splitDns ?? [],
    dpd: session?.dpdSec ?? null,
    keepalive: session?.keepaliveSec ?? null,
    restrictToRoutes: session?.restrictedToRoutes ?? false,
    fwPorts: (ports?.rules ?? []).map(({ protocol, port }) => ({
      port: port ?? 0,
      proto: FW_PROTOCOL[protocol],
      negate: ports?.negated ?? false,
    })),
    safeId: Buffer.from(session?.safeId ?? ''),
    vhost: session?.vhost ?? 'default',
    sessionStartTime: session?.startedAt ?? user.connectedAt,
  };
}

function cookieMessage(cookie: CookieData): Message {
  return {
    safeId: Buffer.from(cookie.safeId),
    sessionIsOpen: cookie.sessionIsOpen,
    tlsAuthOk: cookie.tlsAuthOk,
    created: cookie.created,
    username: cookie.userName,
    groupname: cookie.groupName,
    userAgent: cookie.userAgent,
    remoteIp: cookie.remoteIp,
    expires: cookie.inUse > 0 ? 0 : cookie.expires,
    status: COOKIE_STATUS[cookie.state],
    inUse: cookie.inUse,
    vhost: cookie.vhost,
  };
}

function ipBytes(text: string): Buffer {
  const { family, value } = parseIp(text);
  const digits = widthOf(family) / 4;
  return Buffer.from(value.toString(16).padStart(digits, '0'), 'hex');
}

function ipText(bytes: Buffer): string {
  if (bytes.length !== 4 && bytes.length !== 16) throw new RangeError('an address has 4 or 16 bytes');
  return formatIp(bytes.length === 4 ? 4 : 6, BigInt(`0x${bytes.toString('hex')}`));
}
