/**
 * Every IPC message of the three roles, once, in the order of a session's life. Names are ocserv's where
 * ocserv has the message. Everything else (types, codec, permissions, redaction, docs/ipc.md, generators) is
 * derived from these declarations.
 *
 * `client` is the handle that main gave to one accepted connection; all state is keyed by it, never by socket
 * or process, so that one worker may serve one client or many.
 *
 * `when` names the states of the *receiver's* table for that client in which the message is legal
 * (see states.ts); without it the message is legal whenever the peer has said HELLO. A violation closes
 * the peer, is counted and logged.
 */
import {
  type BodyOf,
  bool,
  bytes,
  type Fields,
  ip,
  list,
  oneOf,
  opt,
  str,
  struct,
  u8,
  u16,
  u32,
  u64,
  unixSecs,
} from './fields.js';

export type Role = 'main' | 'secmod' | 'worker';

export interface MessageSpec<F extends Fields = Fields> {
  readonly id: number;
  readonly from: Role | readonly Role[];
  readonly to: Role | readonly Role[];
  readonly body: F;
  /** Name of the reply message; a request without an answer in time fails at the caller. */
  readonly reply?: string;
  /** This message only ever answers a request. */
  readonly isReply?: boolean;
  /** Descriptors carried: exact number, or range. */
  readonly fds?: number | readonly [number, number];
  readonly when?: readonly string[];
  /** At most once per client. */
  readonly once?: boolean;
  /** Fields that no log may show and that are wiped after handling. */
  readonly secret?: readonly string[];
  /** Largest body in bytes; default 16 KiB. */
  readonly maxBytes?: number;
  readonly doc: string;
}

const message = <const S extends MessageSpec>(spec: S): S => spec;

const MAX_NAME = 64;
const sid = () => bytes(32);
const client = () => u32();
/** Everything that main knows about an open session, sealed. */
const MAX_TICKET = 192 * 1024;
/** main's own text of a lease, which secmod only keeps. */
const leaseText = () => str(512);
const byteCounts = { bytesIn: u64(), bytesOut: u64() };

/** Disconnect reasons with ocserv's numbers as order (1-based). */
export const discReasons = [
  'unspecified',
  'user-disconnect',
  'server-disconnect',
  'idle-timeout',
  'dpd-timeout',
  'error',
  'session-timeout',
  'temporary-disconnect',
  'health-probe',
] as const;
export const discReason = () => oneOf(...discReasons);

/** Packets of one tunnel that were dropped; only grow. */
const drops = () =>
  struct({
    tooBig: u64(),
    malformed: u64(),
    source: u64(),
    rateLimit: u64(),
    streamFull: u64(),
    tunFull: u64(),
    replay: u64(),
  });

/** group_cfg: per-session configuration, vhost defaults already merged with group and user. null: not set. */
export const groupConfig = () =>
  struct({
    routes: list(str(64), 512),
    noRoutes: list(str(64), 512),
    iroutes: list(str(64), 64),
    dns: list(ip(), 16),
    nbns: list(ip(), 16),
    splitDns: list(str(255), 128),
    tunnelAllDns: bool(),
    noUdp: bool(),
    denyRoaming: bool(),
    clientBypassProtocol: bool(),
    restrictUserToRoutes: bool(),
    restrictUserToPorts: str(1024),
    dpdSec: u32(),
    mobileDpdSec: u32(),
    keepaliveSec: u32(),
    idleTimeoutSec: u32(),
    mobileIdleTimeoutSec: u32(),
    sessionTimeoutSec: u32(),
    statsReportTimeSec: u32(),
    mtu: u32(),
    rxBytesPerSec: u64(),
    txBytesPerSec: u64(),
    netPriority: u32(),
    maxSameClients: u32(),
    ipv4Network: str(45),
    ipv4Netmask: str(45),
    ipv6Network: str(64),
    ipv6SubnetPrefix: u8(),
    explicitIpv4: str(45),
    explicitIpv6: str(64),
    hostname: str(MAX_NAME),
    defaultDomain: str(255),
    banner: str(256),
    xmlConfigFile: str(1024),
  });

export const messages = {
  // ------------------------------------------------------------ start
  HELLO: message({
    id: 1,
    from: ['main', 'worker'],
    to: ['main', 'secmod'],
    reply: 'HELLO_REP',
    body: { role: oneOf('main', 'worker'), version: u16() },
    doc: 'First message on every connection. The acceptor checks it against SO_PEERCRED: role main needs the uid of the acceptor or root.',
  }),
  HELLO_REP: message({
    id: 3,
    from: ['main', 'secmod'],
    to: ['main', 'worker'],
    isReply: true,
    body: { version: u16(), pid: u32() },
    doc: 'Accepted.',
  }),
  WORKER_CONFIG: message({
    id: 20,
    from: 'main',
    to: 'worker',
    maxBytes: 1 << 20,
    body: { json: str(1 << 20), secmodPath: str(108) },
    doc: 'Configuration of all vhosts, worker-scoped options only (WorkerConfig as JSON); again after a reload, for new connections.',
  }),
  WORKER_READY: message({
    id: 25,
    from: 'worker',
    to: 'main',
    body: {},
    doc: 'Contexts are loaded and privileges dropped: main may hand out a connection. Sent once, after WORKER_CONFIG was applied.',
  }),
  WORKER_STARTUP: message({
    id: 21,
    from: 'main',
    to: 'worker',
    fds: [0, 1],
    secret: ['ticketKeys'],
    body: {
      client: client(),
      remoteIp: ip(),
      remotePort: u16(),
      ourIp: ip(),
      ourPort: u16(),
      origRemoteIp: ip(),
      sessionStartTime: unixSecs(),
      hmac: bytes(32),
      /** One or two keys of 80 bytes, the newest first. */
      ticketKeys: bytes(0, 160),
      /** Seconds. */
      ticketLifetime: u32(),
    },
    doc: 'A connection to serve: its TCP descriptor (absent if the worker already holds it, after WORKER_ADOPT), the HMAC that secmod verifies in SEC_AUTH_INIT, and the keys of its TLS session tickets.',
  }),
  WORKER_ADOPT: message({
    id: 22,
    from: 'worker',
    to: 'main',
    body: { remoteIp: ip(), remotePort: u16(), ourIp: ip(), ourPort: u16() },
    doc: 'A worker that was started with an inherited connection (vpn worker --fd N) asks main for a client handle; main answers with WORKER_STARTUP without descriptor.',
  }),
  WORKER_RESUME: message({
    id: 26,
    from: 'worker',
    to: 'main',
    reply: 'WORKER_RESUME_REP',
    once: true,
    secret: ['ticket'],
    maxBytes: MAX_TICKET + 1024,
    body: { client: client(), open: bool(), ticket: bytes(1, MAX_TICKET) },
    doc: 'After main was started again: a client with a tunnel, and the ticket that the main before it made for it. `open` false: the tunnel ended while no main was there, CLIENT_CLOSED follows.',
  }),
  WORKER_RESUME_REP: message({
    id: 27,
    from: 'main',
    to: 'worker',
    isReply: true,
    body: { reply: oneOf('OK', 'FAILED'), reason: str(256) },
    doc: 'OK: main knows the client again, and the worker tells MTU, suites and counters anew. FAILED: its tunnel is to be dropped.',
  }),
  SECM_STARTUP: message({
    id: 230,
    from: 'main',
    to: 'secmod',
    reply: 'SECM_STARTUP_REPLY',
    secret: ['hmacKey'],
    body: { hmacKey: bytes(32), workerUid: u32() },
    doc: 'Key for WORKER_STARTUP HMACs and the uid that workers run as; sent by main after every HELLO.',
  }),
  SECM_STARTUP_REPLY: message({
    id: 231,
    from: 'secmod',
    to: 'main',
    isReply: true,
    body: { vhosts: list(str(255), 256) },
    doc: 'Keys and back ends are loaded.',
  }),

  // ------------------------------------------------------------ keys
  SEC_GET_PK: message({
    id: 127,
    from: 'worker',
    to: 'secmod',
    reply: 'SEC_GET_PK_REP',
    body: { vhost: str(255) },
    doc: 'Public certificate chains of a vhost, in the order of server-cert.',
  }),
  SEC_GET_PK_REP: message({
    id: 129,
    from: 'secmod',
    to: 'worker',
    isReply: true,
    maxBytes: 512 * 1024,
    body: {
      chains: list(bytes(1, 64 * 1024), 8),
      clientCa: bytes(0, 192 * 1024),
      ocspResponse: bytes(0, 16 * 1024),
    },
    doc: 'Chains in PEM, leaf first; the file of ca-cert in PEM, that of ocsp-response in DER.',
  }),
  SEC_GET_VHOST: message({
    id: 135,
    from: 'worker',
    to: 'secmod',
    reply: 'SEC_GET_VHOST_REP',
    body: { vhost: str(255) },
    doc: 'What a virtual host shows to clients that is not in the configuration.',
  }),
  SEC_GET_VHOST_REP: message({
    id: 136,
    from: 'secmod',
    to: 'worker',
    isReply: true,
    maxBytes: 512 * 1024,
    body: {
      groups: list(str(MAX_NAME), 512),
      profile: opt(struct({ name: str(255), content: bytes(0, 256 * 1024) })),
    },
    doc: 'Groups of the back end, with auto-select-group; the file of user-profile.',
  }),
  SEC_SIGN_DATA: message({
    id: 125,
    from: 'worker',
    to: 'secmod',
    reply: 'SEC_SIGN_DATA_REP',
    body: { vhost: str(255), publicKey: bytes(32), scheme: u16(), data: bytes(1, 1024) },
    doc: 'Sign a TLS handshake message. publicKey: SHA-256 of the SubjectPublicKeyInfo that the client was shown; a reload may have replaced it meanwhile. secmod checks that data has the form of a TLS 1.2 ServerKeyExchange or a TLS 1.3 server CertificateVerify, so a taken-over worker has no general signing oracle.',
  }),
  SEC_SIGN_DATA_REP: message({
    id: 130,
    from: 'secmod',
    to: 'worker',
    isReply: true,
    body: { signature: opt(bytes(1, 1024)) },
    doc: 'null: refused.',
  }),

  // ------------------------------------------------------------ authenticate
  SEC_CLIENT_CERT: message({
    id: 139,
    from: 'worker',
    to: 'secmod',
    reply: 'SEC_CLIENT_CERT_REP',
    maxBytes: 128 * 1024,
    body: { client: client(), vhost: str(255), handshake: bytes(1, 64 * 1024) },
    doc: "The client has shown a certificate. handshake: the handshake messages from ClientHello to the client's CertificateVerify; secmod takes the chain and the proof of its key from them, and checks that it signed this very handshake.",
  }),
  SEC_CLIENT_CERT_REP: message({
    id: 140,
    from: 'secmod',
    to: 'worker',
    isReply: true,
    body: {
      ok: bool(),
      userName: str(MAX_NAME),
      groups: list(str(MAX_NAME), 64),
      reason: str(256),
    },
    doc: 'ok: logins of this client can use it. Otherwise it counts as none, and reason says why.',
  }),
  SEC_AUTH_INIT: message({
    id: 120,
    from: 'worker',
    to: 'secmod',
    reply: 'SEC_AUTH_REPLY',
    when: ['NONE', 'FAILED'],
    body: {
      client: client(),
      vhost: str(255),
      userName: str(MAX_NAME),
      groupName: str(MAX_NAME),
      way: u8(),
      remoteIp: ip(),
      ourIp: ip(),
      origRemoteIp: ip(),
      sessionStartTime: unixSecs(),
      hmac: bytes(32),
      userAgent: str(64),
      devicePlatform: str(64),
      deviceType: str(64),
    },
    doc: 'Start a login; secmod assigns the SID. A wrong or stale HMAC is refused. way: 0 for all methods of auth together, n for the nth of enable-auth; a certificate is the one of SEC_CLIENT_CERT.',
  }),
  SEC_AUTH_CONT: message({
    id: 121,
    from: 'worker',
    to: 'secmod',
    reply: 'SEC_AUTH_REPLY',
    when: ['INIT', 'CONT'],
    secret: ['sid', 'password'],
    maxBytes: 20 * 1024,
    body: { client: client(), sid: sid(), password: bytes(0, 16 * 1024) },
    doc: 'The next password of the login, at most 4096 bytes, or its next token of Negotiate.',
  }),
  SEC_AUTH_REPLY: message({
    id: 122,
    from: 'secmod',
    to: 'worker',
    isReply: true,
    secret: ['sid'],
    body: {
      reply: oneOf('OK', 'MSG', 'FAILED'),
      sid: opt(sid()),
      userName: str(MAX_NAME),
      message: str(1024),
      passwdCounter: u8(),
      banner: str(256),
      token: opt(bytes(0, 16 * 1024)),
    },
    maxBytes: 20 * 1024,
    doc: 'MSG: another round with this prompt (empty: standard text), or, where there is a token, with the next one of Negotiate. OK: sid is the cookie.',
  }),

  SEC_AUTH_END: message({
    id: 143,
    from: 'worker',
    to: 'secmod',
    body: { client: client() },
    doc: 'The client has left while its login was open: what the back end does for it is given up. A login that has its cookie keeps it.',
  }),

  SEC_CHECK_COOKIE: message({
    id: 137,
    from: 'worker',
    to: 'secmod',
    reply: 'SEC_CHECK_COOKIE_REP',
    secret: ['cookie'],
    body: { cookie: bytes(32), vhost: str(255) },
    doc: 'A page is asked for that only those may see who have logged in.',
  }),
  SEC_CHECK_COOKIE_REP: message({
    id: 138,
    from: 'secmod',
    to: 'worker',
    isReply: true,
    body: { valid: bool() },
    doc: 'Whether CONNECT with this cookie would be allowed; nothing changes.',
  }),

  SEC_KDC_REQUEST: message({
    id: 141,
    from: 'worker',
    to: 'secmod',
    reply: 'SEC_KDC_REPLY',
    maxBytes: 128 * 1024,
    body: { vhost: str(255), path: str(255), realm: str(510), message: bytes(1, 64 * 1024) },
    doc: 'A client asks the KDC that kkdcp has for this path (of several the one of the realm). message: as on UDP.',
  }),
  SEC_KDC_REPLY: message({
    id: 142,
    from: 'secmod',
    to: 'worker',
    isReply: true,
    maxBytes: 128 * 1024,
    body: { reply: opt(bytes(0, 64 * 1024)), reason: str(256) },
    doc: 'What the KDC says, or why nothing came.',
  }),

  // ------------------------------------------------------------ open session
  AUTH_COOKIE_REQ: message({
    id: 4,
    from: 'worker',
    to: 'main',
    reply: 'AUTH_COOKIE_REP',
    when: ['INACTIVE'],
    once: true,
    secret: ['cookie'],
    body: {
      client: client(),
      cookie: bytes(32),
      hostname: str(MAX_NAME),
      ipv4: bool(),
      ipv6: bool(),
    },
    doc: 'CONNECT arrived; ipv4/ipv6: families that the client accepts.',
  }),
  AUTH_COOKIE_REP: message({
    id: 2,
    from: 'main',
    to: 'worker',
    isReply: true,
    fds: [0, 1],
    secret: ['sid', 'ticket'],
    maxBytes: 128 * 1024 + MAX_TICKET,
    body: {
      reply: oneOf('OK', 'FAILED'),
      reason: str(256),
      session: opt(
        struct({
          /** DTLS app-id / session id, random per CONNECT. */
          dtlsSessionId: bytes(32),
          sid: sid(),
          safeId: str(28),
          vname: str(16),
          userName: str(MAX_NAME),
          groupName: str(MAX_NAME),
          vhost: str(255),
          ipv4: opt(ip()),
          ipv4Local: opt(ip()),
          ipv4Netmask: opt(ip()),
          ipv6: opt(ip()),
          ipv6Local: opt(ip()),
          ipv6Prefix: u8(),
          ipv6Network: str(64),
          sessionStartTime: unixSecs(),
          udpPort: u16(),
          tunVnetHdr: bool(),
          tunTso: bool(),
          tunUso: bool(),
          linkMtu: u32(),
          config: groupConfig(),
          /** For WORKER_RESUME; only a main on the same run directory can open it. */
          ticket: bytes(1, MAX_TICKET),
        }),
      ),
    },
    doc: 'OK carries the tun descriptor.',
  }),
  SECM_SESSION_OPEN: message({
    id: 240,
    from: 'main',
    to: 'secmod',
    reply: 'SECM_SESSION_REPLY',
    secret: ['sid'],
    body: { client: client(), sid: sid(), remoteIp: ip() },
    doc: 'Cookie presented at CONNECT: must exist, be COMPLETED and not expired. in_use + 1.',
  }),
  SECM_SESSION_RESUME: message({
    id: 252,
    from: 'main',
    to: 'secmod',
    reply: 'SECM_SESSION_REPLY',
    secret: ['sid'],
    body: {
      client: client(),
      sid: sid(),
      userName: str(MAX_NAME),
      groupName: str(MAX_NAME),
      vhost: str(255),
      /** Client address at authentication. */
      ip: ip(),
      ipv4Seed: u32(),
      tlsAuthOk: bool(),
      userAgent: str(64),
      devicePlatform: str(64),
      deviceType: str(64),
      sessionStartTime: unixSecs(),
      lease: leaseText(),
    },
    doc: 'A tunnel that outlived main or secmod. in_use + 1. A session that was terminated stays so; one that secmod lost with its state file is entered again. The reply carries no session.',
  }),
  SECM_SESSION_REPLY: message({
    id: 242,
    from: 'secmod',
    to: 'main',
    isReply: true,
    secret: ['sid'],
    maxBytes: 128 * 1024,
    body: {
      reply: oneOf('OK', 'FAILED'),
      reason: str(256),
      session: opt(
        struct({
          sid: sid(),
          safeId: str(28),
          userName: str(MAX_NAME),
          groupName: str(MAX_NAME),
          vhost: str(255),
          /** Client address at authentication. */
          ip: ip(),
          ipv4Seed: u32(),
          tlsAuthOk: bool(),
          userAgent: str(64),
          devicePlatform: str(64),
          deviceType: str(64),
          sessionStartTime: unixSecs(),
          config: groupConfig(),
        }),
      ),
    },
    doc: 'Merged configuration of the session.',
  }),
  SECM_SESSION_ADDRESSES: message({
    id: 244,
    from: 'main',
    to: 'secmod',
    secret: ['sid'],
    body: { sid: sid(), ipv4: str(45), ipv6: str(64), lease: leaseText() },
    doc: 'Leased addresses of an open session, for accounting; `lease` is what SECM_LIST_LEASES gives back.',
  }),
  SECM_LIST_LEASES: message({
    id: 236,
    from: 'main',
    to: 'secmod',
    reply: 'SECM_LIST_LEASES_REPLY',
    body: {},
    doc: 'Once after the start of main: which addresses belong to cookies that are still good.',
  }),
  SECM_LIST_LEASES_REPLY: message({
    id: 237,
    from: 'secmod',
    to: 'main',
    isReply: true,
    maxBytes: 64 << 20,
    body: {
      leases: list(
        struct({ safeId: str(28), userName: str(MAX_NAME), expires: unixSecs(), lease: leaseText() }),
        65535,
      ),
    },
    doc: 'Sessions that had a tunnel.',
  }),

  // ------------------------------------------------------------ tunnel
  SESSION_INFO: message({
    id: 13,
    from: 'worker',
    to: 'main',
    when: ['COMPLETED'],
    body: {
      client: client(),
      tlsCiphersuite: str(128),
      dtlsCiphersuite: str(128),
      cstpCompr: str(16),
      dtlsCompr: str(16),
      /** Process that carries the packets. */
      pid: u32(),
    },
    doc: 'What was negotiated, and the process of the session; again whenever DTLS comes up or goes down.',
  }),
  HANDSHAKE: message({
    id: 28,
    from: 'worker',
    to: 'main',
    body: { client: client(), channel: oneOf('tls', 'dtls'), milliseconds: u32() },
    doc: 'A handshake is complete, and how long it took; for the metrics.',
  }),
  WORKER_FULL: message({
    id: 29,
    from: 'worker',
    to: 'main',
    body: { client: client() },
    doc: 'The worker has no descriptor left: one that main sent for this client is lost, and so is the client (CLIENT_CLOSED follows). Main gives it no connection until one of its tunnels has ended.',
  }),
  TUN_MTU: message({
    id: 11,
    from: 'worker',
    to: 'main',
    when: ['COMPLETED'],
    body: { client: client(), mtu: u32() },
    doc: 'Set the tun MTU, 68..16384.',
  }),
  UDP_FD: message({
    id: 10,
    from: 'main',
    to: 'worker',
    fds: 1,
    maxBytes: 66 * 1024,
    body: { client: client(), hello: bool(), data: bytes(1, 65535) },
    doc: 'Connected UDP socket and the first datagram.',
  }),
  CLI_STATS: message({
    id: 23,
    from: 'worker',
    to: 'main',
    when: ['COMPLETED'],
    body: {
      client: client(),
      ...byteCounts,
      packetsIn: u64(),
      packetsOut: u64(),
      drops: drops(),
      dtlsActive: bool(),
    },
    doc: 'Interim counters (only grow).',
  }),
  SEC_CLI_STATS: message({
    id: 128,
    from: 'worker',
    to: 'secmod',
    secret: ['sid'],
    body: { sid: sid(), ...byteCounts, discReason: discReason() },
    doc: 'Interim statistics for accounting; values only grow. The last ones of a tunnel come from main (SECM_SESSION_CLOSE), and by this message only while there is no main.',
  }),
  BAN_IP: message({
    id: 16,
    from: 'worker',
    to: 'main',
    reply: 'BAN_IP_REPLY',
    body: { client: client(), score: u16() },
    doc: 'Add ban points to the address of this client.',
  }),
  BAN_IP_REPLY: message({
    id: 17,
    from: 'main',
    to: 'worker',
    isReply: true,
    body: { allowed: bool() },
    doc: 'false: disconnect.',
  }),

  // ------------------------------------------------------------ close
  TERMINATE: message({
    id: 12,
    from: 'main',
    to: 'worker',
    body: { client: client(), how: oneOf('disconnect', 'drop'), reason: discReason() },
    doc: 'End this client. disconnect: tell it not to come back; drop: close TCP, it may reconnect.',
  }),
  CLIENT_CLOSED: message({
    id: 24,
    from: 'worker',
    to: 'main',
    body: {
      client: client(),
      reason: discReason(),
      detail: str(256),
      ...byteCounts,
      packetsIn: u64(),
      packetsOut: u64(),
      drops: drops(),
    },
    doc: 'Last message about a client; its handle is dead.',
  }),
  SECM_SESSION_CLOSE: message({
    id: 241,
    from: 'main',
    to: 'secmod',
    reply: 'SECM_CLI_STATS',
    secret: ['sid'],
    body: { sid: sid(), ...byteCounts, discReason: discReason(), serverDisconnected: bool() },
    doc: 'in_use − 1; lifetime rules of protocol.md §14.',
  }),
  SECM_CLI_STATS: message({
    id: 245,
    from: 'secmod',
    to: 'main',
    isReply: true,
    body: { ...byteCounts, discReason: discReason(), uptimeSec: u64(), expires: unixSecs() },
    doc: 'Totals of the session for the disconnect script, and when its cookie ends (0: it has): so long main keeps its addresses.',
  }),

  // ------------------------------------------------------------ bans, statistics, administration
  SECM_BAN_IP: message({
    id: 243,
    from: 'secmod',
    to: 'main',
    reply: 'SECM_BAN_IP_REPLY',
    body: { ip: ip(), score: u16() },
    doc: 'Wrong password points.',
  }),
  SECM_BAN_IP_REPLY: message({
    id: 239,
    from: 'main',
    to: 'secmod',
    isReply: true,
    body: { allowed: bool() },
    doc: 'false: fail the login.',
  }),
  SECM_STATS: message({
    id: 248,
    from: 'secmod',
    to: 'main',
    body: {
      clientEntries: u32(),
      tlsDbEntries: u32(),
      authFailures: u32(),
      delayedLogins: u32(),
      ipcViolations: u32(),
      avgAuthTimeMs: u32(),
      maxAuthTimeMs: u32(),
    },
    doc: 'Periodic figures for show status; failures, delays and violations since the last report.',
  }),
  SECM_LOGIN_STEPS: message({
    id: 235,
    from: 'secmod',
    to: 'main',
    body: {
      steps: list(
        struct({
          method: str(256),
          result: oneOf('accepted', 'prompted', 'wrong', 'rejected', 'failed'),
          milliseconds: u32(),
        }),
        32,
      ),
    },
    doc: 'Steps of back ends in logins, and how long each took; for the metrics. Once a second, or sooner when there are many.',
  }),
  SECM_LIST_COOKIES: message({
    id: 246,
    from: 'main',
    to: 'secmod',
    reply: 'SECM_LIST_COOKIES_REPLY',
    body: {},
    doc: 'For show sessions.',
  }),
  SECM_LIST_COOKIES_REPLY: message({
    id: 247,
    from: 'secmod',
    to: 'main',
    isReply: true,
    maxBytes: 16 << 20,
    body: {
      cookies: list(
        struct({
          safeId: str(28),
          sessionIsOpen: bool(),
          tlsAuthOk: bool(),
          created: unixSecs(),
          expires: unixSecs(),
          userName: str(MAX_NAME),
          groupName: str(MAX_NAME),
          vhost: str(255),
          userAgent: str(64),
          remoteIp: ip(),
          status: oneOf('pre-auth', 'auth failed', 'authenticating', 'authenticated'),
          inUse: u32(),
        }),
        65535,
      ),
    },
    doc: 'All sessions that secmod knows.',
  }),
  SECM_RELOAD: message({
    id: 249,
    from: 'main',
    to: 'secmod',
    reply: 'SECM_RELOAD_REPLY',
    body: { keysOnly: bool() },
    doc: 'Read the configuration and keys again, or only the keys (their files changed).',
  }),
  SECM_RELOAD_REPLY: message({
    id: 250,
    from: 'secmod',
    to: 'main',
    isReply: true,
    body: { ok: bool(), reason: str(4096) },
    doc: '',
  }),
  SECM_TERMINATE_USER_SESSIONS: message({
    id: 251,
    from: 'main',
    to: 'secmod',
    reply: 'SECM_TERMINATE_REPLY',
    body: { userName: str(MAX_NAME) },
    doc: 'Invalidate all cookies of a user.',
  }),
  SECM_TERMINATE_SESSION: message({
    id: 253,
    from: 'main',
    to: 'secmod',
    reply: 'SECM_TERMINATE_REPLY',
    body: { safeId: str(28) },
    doc: 'Invalidate one cookie.',
  }),
  SECM_END_SESSION: message({
    id: 233,
    from: 'secmod',
    to: 'main',
    reply: 'SECM_END_SESSION_REPLY',
    body: { safeId: str(28), reconnect: bool() },
    doc: 'End the tunnel of this session as an administrator does, or (reconnect) so that its client comes back and finds what was changed; an accounting server asked for it.',
  }),
  SECM_END_SESSION_REPLY: message({
    id: 234,
    from: 'main',
    to: 'secmod',
    isReply: true,
    body: { count: u32() },
    doc: 'How many tunnels end.',
  }),
  SECM_TERMINATE_REPLY: message({
    id: 254,
    from: 'secmod',
    to: 'main',
    isReply: true,
    body: { count: u32() },
    doc: 'How many were invalidated.',
  }),
} as const;

export type Messages = typeof messages;
export type MessageName = keyof Messages;
export type Body<N extends MessageName> = BodyOf<Messages[N]['body']>;
export type ReplyOf<N extends MessageName> = Messages[N] extends { reply: infer R extends MessageName }
  ? R
  : never;
