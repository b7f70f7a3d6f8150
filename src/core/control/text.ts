/** The control verbs' results as text for people, laid out as occtl's (reference features §7). */
import Table from 'cli-table3';
import type { SessionData, StatusData, UserData } from './verbs.js';

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
    pairs(['Workers', status.workers], ['Spare workers', status.spareWorkers]),
    pairs(['Up since', since(status.upSince, now)]),
    pairs(['Active sessions', status.activeSessions], ['Connections', status.connections]),
    pairs(['Total sessions', status.totalSessions]),
    pairs(['Total authentication failures', status.totalAuthFailures]),
    pairs(['IPs in ban list', status.bannedIps]),
    status.ipcViolations === 0 ? '' : pairs(['IPC violations', status.ipcViolations]),
    '\0',
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
    .map((text) => (text === '\0' ? '' : text))
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

/** Columns on the right edge, no lines, as wide as the content needs. */
function plainTable(head: readonly string[], least: readonly number[], rows: readonly string[][]): string {
  const width = (column: number) =>
    Math.max(least[column] ?? 0, ...[head, ...rows].map((row) => row[column]?.length ?? 0));
  const names = [
    'top',
    'top-mid',
    'top-left',
    'top-right',
    'bottom',
    'bottom-mid',
    'bottom-left',
    'bottom-right',
  ];
  const edges = ['left', 'left-mid', 'mid', 'mid-mid', 'right', 'right-mid'];
  const table = new Table({
    head: [...head],
    chars: { ...Object.fromEntries([...names, ...edges].map((name) => [name, ''])), middle: ' ' },
    style: { 'padding-left': 0, 'padding-right': 0, head: [], border: [] },
    colAligns: head.map(() => 'right'),
    colWidths: head.map((_, column) => width(column)),
  });
  table.push(...rows);
  return table.toString();
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
  return [...head, ...tail].filter((text) => text !== '').join('\n');
}

function sessionLines(user: UserData, session: SessionData): string[] {
  const seconds = Math.max(1, user.now - user.connectedAt);
  const rate = (bytes: number) => `${formatBytes(bytes / seconds)}/sec`;
  const limit = (bytes: number) => (bytes === 0 ? '' : `${formatBytes(bytes)}/sec`);
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
