/** The control verbs' results as text for people, laid out as occtl's (reference features §7). */
import type { BanData, CookieData, EventData, Rate, SessionData, StatusData, UserData } from './results.js';

/** Seven characters: `2days`, ` 1h:02m`, ` 3m:04s`, `    5s`. */
export function formatAge(seconds: number): string {
  const s = Math.max(0, Math.floor(seconds));
  const two = (value: number) => String(value).padStart(2, '0');
  if (s >= 86_400) return `${Math.floor(s / 86_400)}days`.padStart(6);
  if (s >= 3600) return `${String(Math.floor(s / 3600)).padStart(2)}h:${two(Math.floor((s % 3600) / 60))}m`;
  if (s >= 60) return `${String(Math.floor(s / 60)).padStart(2)}m:${two(s % 60)}s`;
  return `${String(s).padStart(5)}s`;
}

/** `12.3 kB`, powers of 1000. */
export function formatBytes(bytes: number): string {
  if (bytes < 1000) return `${Math.round(bytes)} bytes`;
  const units = ['kB', 'MB', 'GB', 'TB', 'PB'];
  let value = bytes / 1000;
  let unit = 0;
  while (value >= 1000 && unit < units.length - 1) {
    value /= 1000;
    unit++;
  }
  return `${value.toFixed(1)} ${units[unit]}`;
}

/** Local time, `2026-11-22 11:58`. */
export function formatTime(seconds: number): string {
  const date = new Date(seconds * 1000);
  const two = (value: number) => String(value).padStart(2, '0');
  const day = `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`;
  return `${day} ${two(date.getHours())}:${two(date.getMinutes())}`;
}

const since = (time: number, now: number): string => `${formatTime(time)} (${formatAge(now - time)})`;
const orNone = (name: string): string => (name === '' ? '(none)' : name);
/** Stands for an empty line where lines without a value are left out. */
const GAP = '\0';
const line = (text: string): string => `\t${text}`;

/** `label: value` pairs of one line, those without a value left out; '' when none has one. */
function pairs(...items: readonly (readonly [label: string, value: string | number | null])[]): string {
  const shown = items.filter(([, value]) => value !== '' && value !== null);
  return shown.length === 0 ? '' : line(shown.map(([label, value]) => `${label}: ${value}`).join('   '));
}

/** `vpn ctl show status`. */
export function statusText(status: StatusData): string {
  const { period, now } = status;
  return [
    'Note: session time as well as RX and TX of the current period are counted when a session ends',
    '',
    'General info:',
    pairs(['Status', status.status]),
    pairs(['Server PID', status.pid]),
    pairs(['Sec-mod PID', status.secmodPid ?? '(starting)']),
    pairs(['Sec-mod instance count', status.secmodPid === null ? 0 : 1]),
    pairs(['Workers', status.workers], ['Spare workers', status.spareWorkers]),
    pairs(['Up since', since(status.upSince, now)]),
    pairs(['Active sessions', status.activeSessions], ['Connections', status.connections]),
    pairs(['Total sessions', status.totalSessions]),
    pairs(['Total authentication failures', status.totalAuthFailures]),
    pairs(['IPs in ban list', status.bannedIps]),
    status.ipcViolations === 0 ? '' : pairs(['IPC violations', status.ipcViolations]),
    GAP,
    'Current stats period:',
    pairs(['Last stats reset', since(period.since, now)]),
    pairs(['Sessions handled', period.sessionsHandled]),
    pairs(['Timed out sessions', period.timedOutSessions]),
    pairs(['Timed out (idle) sessions', period.timedOutIdleSessions]),
    pairs(['Closed due to error sessions', period.errorSessions]),
    pairs(['Authentication failures', period.authFailures]),
    pairs(['Average auth time', formatAge(period.averageAuthMs / 1000)]),
    pairs(['Max auth time', formatAge(period.maxAuthMs / 1000)]),
    pairs(['Average session time', formatAge(period.averageSessionSec)]),
    pairs(['Max session time', formatAge(period.maxSessionSec)]),
    period.maxMtu === 0 ? '' : pairs(['Min MTU', period.minMtu], ['Max MTU', period.maxMtu]),
    pairs(['RX', formatBytes(period.rxBytes)]),
    pairs(['TX', formatBytes(period.txBytes)]),
  ]
    .filter((text, index) => text !== '' || index === 1)
    .map((text) => (text === GAP ? '' : text))
    .join('\n');
}

const USER_COLUMNS = ['id', 'user', 'vhost', 'ip', 'vpn-ip', 'device', 'since', 'dtls-cipher', 'status'];
const USER_WIDTHS = [8, 8, 8, 14, 14, 6, 7, 14, 9];

/** `vpn ctl show users`. */
export function usersText(users: readonly UserData[]): string {
  if (users.length === 0) return 'no users are connected';
  const rows = users.map(({ id, session, remoteIp, connectedAt, now, state }) => [
    String(id),
    orNone(session?.userName ?? ''),
    session?.vhost ?? '',
    remoteIp,
    session?.ipv4 ?? session?.ipv6 ?? '',
    session?.device ?? '',
    formatAge(now - connectedAt),
    session?.dtlsActive ? shortCipher(session.dtlsCipher) : '(no-dtls)',
    state,
  ]);
  return plainTable(USER_COLUMNS, USER_WIDTHS, rows);
}

const COOKIE_COLUMNS = ['session', 'user', 'vhost', 'ip', 'user agent', 'created', 'status'];
const COOKIE_WIDTHS = [7, 8, 8, 14, 24, 8, 8];
const MAX_AGENT = 24;

/** `vpn ctl show sessions`. */
export function cookiesText(cookies: readonly CookieData[]): string {
  const rows = cookies.map((cookie) => [
    cookie.safeId.slice(0, 6),
    orNone(cookie.userName),
    cookie.vhost,
    cookie.remoteIp,
    cookie.userAgent.slice(0, MAX_AGENT),
    formatAge(cookie.now - cookie.created),
    cookie.state,
  ]);
  return plainTable(COOKIE_COLUMNS, COOKIE_WIDTHS, rows);
}

/** `vpn ctl show session`. */
export function cookieText(cookies: readonly CookieData[]): string {
  return cookies.map((cookie) => `${cookieBlock(cookie)}\n`).join('\n');
}

const cookieBlock = (cookie: CookieData): string =>
  [
    pairs(['Session', cookie.safeId.slice(0, 6)]),
    pairs(['Full session ID', cookie.safeId]),
    pairs(
      ['Created', formatTime(cookie.created)],
      ['Expires', cookie.inUse === 0 ? formatTime(cookie.expires) : ''],
    ),
    pairs(['State', cookie.state]),
    pairs(['Username', orNone(cookie.userName)], ['Groupname', orNone(cookie.groupName)]),
    pairs(['vhost', cookie.vhost], ['User-Agent', cookie.userAgent]),
    pairs(['Remote IP', cookie.remoteIp]),
    pairs(['In use', cookie.inUse], ['Activated', cookie.sessionIsOpen ? 'True' : 'False']),
    pairs(['Certificate auth', cookie.tlsAuthOk ? 'True' : 'False']),
  ].join('\n');

const IROUTE_COLUMNS = ['id', 'user', 'vhost', 'device', 'vpn-ip', 'iroute'];
const IROUTE_WIDTHS = [6, 8, 8, 6, 16, 28];

/** `vpn ctl show iroutes`: one line per network behind a client. */
export function iroutesText(users: readonly UserData[]): string {
  const rows = users.flatMap(({ id, session }) =>
    (session?.iroutes ?? []).map((route) => [
      String(id),
      orNone(session?.userName ?? ''),
      session?.vhost ?? '',
      session?.device ?? '',
      session?.ipv4 ?? session?.ipv6 ?? '',
      route,
    ]),
  );
  return plainTable(IROUTE_COLUMNS, IROUTE_WIDTHS, rows);
}

/** The table of `vpn ctl top`. */
export function ratesText(rates: readonly Rate[]): string {
  const rows = rates.map(({ id, user, ip, device, rx, tx, since: age }) => [
    String(id),
    user,
    ip,
    device,
    `${formatBytes(rx)}/s`,
    `${formatBytes(tx)}/s`,
    age,
  ]);
  return plainTable(['id', 'user', 'ip', 'device', 'RX', 'TX', 'since'], [8, 8, 14, 6, 12, 12, 7], rows);
}

/** `vpn ctl show ip bans`. */
export function bansText(bans: readonly BanData[]): string {
  if (bans.length === 0) return '';
  const rows = bans.map(({ ip, score, expires, now }) => [
    ip,
    String(score),
    `${formatTime(expires)} (${formatAge(expires - now)})`,
  ]);
  return plainTable(['IP', 'score', 'expires'], [14, 14, 30], rows);
}

/** `vpn ctl show ip ban points`. */
export const pointsText = (bans: readonly BanData[]): string =>
  bans.length === 0
    ? ''
    : plainTable(
        ['IP', 'score'],
        [15, 10],
        bans.map(({ ip, score }) => [ip, String(score)]),
      );

/** `vpn ctl show events`: one line. */
export function eventText({ type, reason, time, user }: EventData): string {
  const { session, id, remoteIp } = user;
  const who = `${session?.vhost ?? 'default'}: ${type} user '${session?.userName ?? ''}' (${id})`;
  if (type !== 'disconnected')
    return `${who} from ${remoteIp} with IP ${session?.ipv4 ?? session?.ipv6 ?? ''}`;
  return `${who} (reason: ${reason}, time: ${formatAge(time - user.connectedAt).trim()})`;
}

/**
 * Columns on the right edge, no lines, as wide as the content needs and as `least` says. Each cell is looked at twice,
 * however many rows there are: a table with lines (cli-table3) of 5,000 rows takes nine seconds.
 */
export function plainTable(
  head: readonly string[],
  least: readonly number[],
  rows: readonly string[][],
): string {
  const all = [head, ...rows];
  const widths = head.map((_, column) =>
    all.reduce((widest, row) => Math.max(widest, row[column]?.length ?? 0), least[column] ?? 0),
  );
  return all.map((row) => row.map((cell, column) => cell.padStart(widths[column] ?? 0)).join(' ')).join('\n');
}

/** Without protocol version and key exchange: `(DTLS1.2)-(PSK)-(AES-256-GCM)` is `(AES-256-GCM)`. */
const shortCipher = (name: string): string =>
  name
    .split('-(')
    .slice(2)
    .map((part) => `(${part}`)
    .join('-') || name;

/** `vpn ctl show user NAME` and `show id ID`: one block per connection. */
export function userBlocksText(users: readonly UserData[]): string {
  return users.map((user) => `${userBlock(user)}\n`).join('\n');
}

function userBlock(user: UserData): string {
  const { session } = user;
  const head = [
    pairs(['ID', user.id], ['Worker PID', user.workerPid]),
    pairs(['Username', orNone(session?.userName ?? '')], ['Groupname', orNone(session?.groupName ?? '')]),
    pairs(['State', user.state]),
    pairs(['vhost', session?.vhost ?? '']),
    session ? pairs(['Device', session.device], ['MTU', session.mtu]) : '',
    pairs(['Remote IP', user.remoteIp]),
    pairs(['Local Device IP', user.localDeviceIp]),
  ];
  const tail = session
    ? sessionLines(user, session)
    : [pairs(['Connected at', since(user.connectedAt, user.now)])];
  return [...head, ...tail]
    .filter((text) => text !== '')
    .map((text) => (text === GAP ? '' : text))
    .join('\n');
}

function sessionLines(user: UserData, session: SessionData): string[] {
  const seconds = Math.max(1, user.now - user.connectedAt);
  const rate = (bytes: number) => `${formatBytes(bytes / seconds)}/s`;
  const limit = (bytes: number) => (bytes === 0 ? '' : `${formatBytes(bytes)}/s`);
  const amount = (bytes: number) => `${bytes} (${formatBytes(bytes)})`;
  return [
    pairs(['IPv4', session.ipv4], ['P-t-P IPv4', session.ipv4Local]),
    pairs(['IPv6', session.ipv6], ['P-t-P IPv6', session.ipv6Local]),
    pairs(['User-Agent', session.userAgent]),
    pairs(['Limit RX', limit(session.rxLimit)], ['Limit TX', limit(session.txLimit)]),
    pairs(['RX', amount(session.rxBytes)], ['TX', amount(session.txBytes)]),
    line(`Average bandwidth RX: ${rate(session.rxBytes)}  TX: ${rate(session.txBytes)}`),
    pairs(['DPD', session.dpdSec], ['KeepAlive', session.keepaliveSec]),
    pairs(['Hostname', session.hostname]),
    pairs(['Last connected at', since(user.connectedAt, user.now)]),
    pairs(['Session started at', since(session.startedAt, user.now)]),
    pairs(['Session', session.safeId.slice(0, 6)]),
    pairs(['TLS ciphersuite', session.tlsCiphersuite]),
    session.dtlsActive ? pairs(['DTLS cipher', session.dtlsCipher]) : '',
    pairs(['CSTP compression', session.cstpCompression], ['DTLS compression', session.dtlsCompression]),
    GAP,
    ...lists(session),
    pairs(['Restricted to routes', session.restrictedToRoutes ? 'True' : 'False']),
    pairs(['Restricted to ports', session.restrictedToPorts]),
  ];
}

function lists(session: SessionData): string[] {
  const list = (label: string, values: readonly string[]) => pairs([label, values.join('\n\t\t')]);
  return [
    list('DNS', session.dns),
    list('NBNS', session.nbns),
    list('Split-DNS-Domains', session.splitDns),
    list('Routes', session.routes.length === 0 ? ['defaultroute'] : session.routes),
    list('No-routes', session.noRoutes),
    list('iRoutes', session.iroutes),
  ];
}
