/** What the control verbs answer. Times are seconds since the epoch, sizes bytes, unless it says otherwise. */
import { flag, int, list, number, type Of, oneOf, orNull, record, text } from './shape.js';

const time = (doc = '') => int(doc);

export const statusShape = record({
  status: oneOf(['online']),
  pid: int('Process id of the server.'),
  secmodPid: orNull(int(), 'null while secmod is being started again.'),
  workers: int(),
  spareWorkers: int(),
  upSince: time(),
  now: time('The clock of the server.'),
  activeSessions: int(),
  connections: int('Sessions, and connections that have not opened one.'),
  totalSessions: int(),
  totalAuthFailures: int(),
  bannedIps: int(),
  secmodEntries: int('Sessions that secmod knows, without a tunnel too.'),
  tlsDbEntries: int(),
  ipcViolations: int('Times that a process broke the protocol and was cut off.'),
  period: record(
    {
      since: time(),
      sessionsHandled: int(),
      timedOutSessions: int(),
      timedOutIdleSessions: int(),
      errorSessions: int(),
      authFailures: int(),
      averageAuthMs: number('Milliseconds.'),
      maxAuthMs: number('Milliseconds.'),
      averageSessionSec: number('Seconds.'),
      maxSessionSec: number('Seconds.'),
      minMtu: int('0: no session yet.'),
      maxMtu: int(),
      rxBytes: int(),
      txBytes: int(),
    },
    'Since the last reset of the statistics.',
  ),
});

const sessionShape = record({
  userName: text(),
  groupName: text(),
  vhost: text(),
  device: text(),
  mtu: int(),
  ipv4: orNull(text()),
  ipv4Local: orNull(text()),
  ipv6: orNull(text()),
  ipv6Local: orNull(text()),
  userAgent: text(),
  hostname: text(),
  rxBytes: int('From the client.'),
  txBytes: int('To the client.'),
  rxPackets: int(),
  txPackets: int(),
  rxLimit: int('Bytes per second, 0 for none.'),
  txLimit: int('Bytes per second, 0 for none.'),
  dpdSec: int(),
  keepaliveSec: int(),
  startedAt: time('Login.'),
  safeId: text('base64(SHA1(SID)): names the session without being the cookie.'),
  tlsCiphersuite: text(),
  dtlsCipher: text(),
  dtlsActive: flag(),
  cstpCompression: text('Of the TLS channel: oc-lz4, lzs or nothing.'),
  dtlsCompression: text('Of the DTLS channel.'),
  dns: list(text()),
  nbns: list(text()),
  splitDns: list(text()),
  routes: list(text(), 'Empty: everything.'),
  noRoutes: list(text()),
  iroutes: list(text()),
  restrictedToRoutes: flag(),
  restrictedToPorts: text(),
});

export const userShape = record({
  id: int('Handle of the connection.'),
  workerPid: int('Process of the session; before that, of the worker that does its login.'),
  state: oneOf(['pre-auth', 'authenticating', 'connected', 'auth failed', 'closed']),
  remoteIp: text(),
  localDeviceIp: text('Address of the server that the client hit.'),
  connectedAt: time(),
  now: time(),
  session: orNull(sessionShape, 'null before the tunnel is up.'),
});

export const cookieShape = record({
  safeId: text('base64(SHA1(SID)).'),
  userName: text(),
  groupName: text(),
  vhost: text(),
  userAgent: text(),
  remoteIp: text(),
  created: time(),
  expires: time('When the cookie dies; of no meaning while a tunnel is open.'),
  now: time(),
  state: oneOf(['pre-auth', 'auth failed', 'authenticating', 'authenticated']),
  sessionIsOpen: flag(),
  tlsAuthOk: flag('A client certificate was verified.'),
  inUse: int('Open tunnels.'),
});

export const banShape = record({
  ip: text('Address; of IPv6 the first of its /64.'),
  score: int(),
  expires: time('0 while the score is below the limit.'),
  now: time(),
});

export const eventShape = record({
  type: oneOf(
    ['present', 'connected', 'adopted', 'disconnected'],
    'present: it was there when the stream began; adopted: it outlived an earlier main.',
  ),
  time: time(),
  reason: orNull(text(), 'Why a session ended, null otherwise.'),
  user: userShape,
});

export type StatusData = Of<typeof statusShape>;
export type UserData = Of<typeof userShape>;
export type SessionData = Of<typeof sessionShape>;
export type CookieData = Of<typeof cookieShape>;
export type BanData = Of<typeof banShape>;
export type EventData = Of<typeof eventShape>;

/** A session in `vpn ctl top`. */
export interface Rate {
  readonly id: number;
  readonly user: string;
  readonly ip: string;
  readonly device: string;
  /** Bytes per second since the look before, from and to the client. */
  readonly rx: number;
  readonly tx: number;
  readonly since: string;
}
