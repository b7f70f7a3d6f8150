/** The verbs' results under occtl's JSON keys (reference features §7), for programs that read its output. */
import { parsePorts } from '../config/fw-ports.js';
import type { BanData, CookieData, StatusData, UserData } from './results.js';
import { formatAge, formatBytes, formatTime } from './text.js';

type Json = Record<string, unknown>;

const orNone = (name: string): string => (name === '' ? '(none)' : name);
/** Members with a value: occtl leaves empty ones out. */
const given = (members: Json): Json =>
  Object.fromEntries(Object.entries(members).filter(([, value]) => value !== '' && value !== null));

export function statusJson(status: StatusData): Json {
  const { period, now } = status;
  const age = (seconds: number) => formatAge(seconds);
  return {
    Status: status.status,
    'Server PID': status.pid,
    ...(status.secmodPid !== null && { 'Sec-mod PID': status.secmodPid }),
    'Sec-mod instance count': status.secmodPid === null ? 0 : 1,
    'Up since': formatTime(status.upSince),
    '_Up since': age(now - status.upSince),
    raw_up_since: status.upSince,
    uptime: now - status.upSince,
    'Active sessions': status.activeSessions,
    'Total sessions': status.totalSessions,
    'Total authentication failures': status.totalAuthFailures,
    'IPs in ban list': status.bannedIps,
    'Last stats reset': formatTime(period.since),
    '_Last stats reset': age(now - period.since),
    raw_last_stats_reset: period.since,
    'Sessions handled': period.sessionsHandled,
    'Timed out sessions': period.timedOutSessions,
    'Timed out (idle) sessions': period.timedOutIdleSessions,
    'Closed due to error sessions': period.errorSessions,
    'Authentication failures': period.authFailures,
    'Average auth time': age(period.averageAuthMs / 1000),
    raw_avg_auth_time: Math.floor(period.averageAuthMs / 1000),
    'Max auth time': age(period.maxAuthMs / 1000),
    raw_max_auth_time: Math.floor(period.maxAuthMs / 1000),
    'Average session time': age(period.averageSessionSec),
    raw_avg_session_time: Math.floor(period.averageSessionSec),
    'Max session time': age(period.maxSessionSec),
    raw_max_session_time: Math.floor(period.maxSessionSec),
    ...(period.maxMtu !== 0 && { 'Min MTU': period.minMtu, 'Max MTU': period.maxMtu }),
    RX: formatBytes(period.rxBytes),
    raw_rx: period.rxBytes,
    TX: formatBytes(period.txBytes),
    raw_tx: period.txBytes,
  };
}

export const usersJson = (users: readonly UserData[]): Json[] => users.map(userJson);

function userJson(user: UserData): Json {
  const { session } = user;
  const head = {
    ID: user.id,
    Username: orNone(session?.userName ?? ''),
    Groupname: orNone(session?.groupName ?? ''),
    State: user.state,
    vhost: session?.vhost ?? 'default',
  };
  const addresses = {
    'Remote IP': user.remoteIp,
    Location: 'unknown',
    'Local Device IP': user.localDeviceIp,
  };
  if (session === null) return { ...head, ...addresses, ...times(user, user.connectedAt) };
  const ports = parsePorts(session.restrictedToPorts);
  return {
    ...head,
    Device: session.device,
    MTU: String(session.mtu),
    ...addresses,
    ...given({
      IPv4: session.ipv4,
      'P-t-P IPv4': session.ipv4Local,
      IPv6: session.ipv6,
      'P-t-P IPv6': session.ipv6Local,
      'User-Agent': session.userAgent,
    }),
    ...traffic(user, session),
    DPD: String(session.dpdSec),
    KeepAlive: String(session.keepaliveSec),
    ...given({ Hostname: session.hostname }),
    ...times(user, session.startedAt),
    'Full session': session.safeId,
    Session: session.safeId.slice(0, 6),
    ...given({ 'TLS ciphersuite': session.tlsCiphersuite }),
    ...(session.dtlsActive && { 'DTLS cipher': session.dtlsCipher }),
    ...given({
      'CSTP compression': session.cstpCompression,
      'DTLS compression': session.dtlsCompression,
    }),
    DNS: session.dns,
    NBNS: session.nbns,
    'Split-DNS-Domains': session.splitDns,
    Routes: session.routes.length === 0 ? 'defaultroute' : session.routes,
    'No-routes': session.noRoutes,
    iRoutes: session.iroutes,
    'Restricted to routes': session.restrictedToRoutes ? 'True' : 'False',
    'Restricted to ports': (ports?.rules ?? []).map(
      ({ protocol, port }) => `${ports?.negated ? '!' : ''}${protocol}(${port ?? ''})`,
    ),
  };
}

function times({ connectedAt, now }: UserData, startedAt: number): Json {
  return {
    'Last connected at': formatTime(connectedAt),
    '_Last connected at': formatAge(now - connectedAt),
    'Session started at': formatTime(startedAt),
    '_Session started at': formatAge(now - startedAt),
    raw_connected_at: connectedAt,
    raw_session_started_at: startedAt,
  };
}

function traffic({ connectedAt, now }: UserData, session: NonNullable<UserData['session']>): Json {
  const seconds = Math.max(1, now - connectedAt);
  const rate = (bytes: number) => `${formatBytes(Math.floor(bytes / seconds))}/s`;
  const limit = (bytes: number) => (bytes === 0 ? '' : `${formatBytes(bytes)}/s`);
  return {
    ...given({ 'Limit RX': limit(session.rxLimit), 'Limit TX': limit(session.txLimit) }),
    RX: String(session.rxBytes),
    TX: String(session.txBytes),
    _RX: formatBytes(session.rxBytes),
    _TX: formatBytes(session.txBytes),
    'Average RX': rate(session.rxBytes),
    'Average TX': rate(session.txBytes),
  };
}

export const cookiesJson = (cookies: readonly CookieData[]): Json[] =>
  cookies.map((cookie) => ({
    Session: cookie.safeId.slice(0, 6),
    'Full session': cookie.safeId,
    Created: formatTime(cookie.created),
    ...(cookie.inUse === 0 && { Expires: formatTime(cookie.expires) }),
    State: cookie.state,
    Username: orNone(cookie.userName),
    Groupname: orNone(cookie.groupName),
    vhost: cookie.vhost,
    'User-Agent': cookie.userAgent,
    'Remote IP': cookie.remoteIp,
    Location: 'unknown',
    session_is_open: Number(cookie.sessionIsOpen),
    tls_auth_ok: Number(cookie.tlsAuthOk),
    in_use: cookie.inUse,
  }));

export const iroutesJson = (users: readonly UserData[]): Json[] =>
  users.flatMap(({ id, session }) =>
    session
      ? [
          {
            ID: id,
            Username: orNone(session.userName),
            vhost: session.vhost,
            Device: session.device,
            IP: session.ipv4 ?? session.ipv6 ?? '',
            iRoutes: session.iroutes,
          },
        ]
      : [],
  );

export const bansJson = (bans: readonly BanData[]): Json[] =>
  bans.map(({ ip, score, expires, now }) => ({
    IP: ip,
    Since: formatTime(expires),
    _Since: formatAge(expires - now),
    Score: score,
  }));

export const pointsJson = (bans: readonly BanData[]): Json[] =>
  bans.map(({ ip, score }) => ({ IP: ip, Score: score }));
