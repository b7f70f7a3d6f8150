/** `vpn history`: questions to the file that main writes. */
import { existsSync } from 'node:fs';
import { DatabaseSync, type SQLOutputValue } from 'node:sqlite';
import { formatAge, formatBytes, formatTime, plainTable } from '../control/text.js';
import { VpnError } from '../errors.js';
import type { HistoryRow } from './history.js';

export interface HistoryFilter {
  readonly user?: string | undefined;
  /** Tunnels that were open at this time or later. Seconds since the epoch. */
  readonly since?: number | undefined;
  /** Tunnels that were opened before this time. Seconds since the epoch. */
  readonly until?: number | undefined;
  /** The latest so many. */
  readonly limit: number;
}

const COLUMNS = `session, client, user, "group", vhost, remoteIp, ipv4, ipv6, userAgent, connected, disconnected, reason,
  bytesIn, bytesOut, packetsIn, packetsOut`;

type Stored = Readonly<Record<string, SQLOutputValue>>;

function toRow(row: Stored): HistoryRow {
  const text = (name: string): string => String(row[name]);
  const number = (name: string): number => Number(row[name]);
  const textOrNull = (name: string): string | null => (row[name] === null ? null : text(name));
  return {
    ...{ session: text('session'), client: number('client'), user: text('user'), group: text('group') },
    ...{ vhost: text('vhost'), remoteIp: text('remoteIp') },
    ...{ ipv4: textOrNull('ipv4'), ipv6: textOrNull('ipv6'), userAgent: text('userAgent') },
    connected: number('connected'),
    disconnected: row.disconnected === null ? null : number('disconnected'),
    reason: textOrNull('reason'),
    ...{ bytesIn: number('bytesIn'), bytesOut: number('bytesOut') },
    ...{ packetsIn: number('packetsIn'), packetsOut: number('packetsOut') },
  };
}

/** Matching tunnels, the latest first. @throws VpnError OCS_HISTORY */
export function readHistory(path: string, { user, since, until, limit }: HistoryFilter): HistoryRow[] {
  if (!existsSync(path)) throw new VpnError('OCS_HISTORY', { path, reason: 'it does not exist' });
  const where = [
    ...(user === undefined ? [] : ['user = :user']),
    ...(since === undefined ? [] : ['(disconnected IS NULL OR disconnected >= :since)']),
    ...(until === undefined ? [] : ['connected < :until']),
  ];
  const values = {
    ...(user !== undefined && { user }),
    ...(since !== undefined && { since }),
    ...(until !== undefined && { until }),
    limit,
  };
  try {
    const db = new DatabaseSync(path, { readOnly: true, timeout: 1000 });
    try {
      const condition = where.length > 0 ? `WHERE ${where.join(' AND ')}` : '';
      const order = 'ORDER BY connected DESC, client DESC LIMIT :limit';
      const rows = db.prepare(`SELECT ${COLUMNS} FROM tunnels ${condition} ${order}`).all(values);
      return rows.map(toRow);
    } finally {
      db.close();
    }
  } catch (error) {
    throw new VpnError('OCS_HISTORY', { path, reason: (error as Error).message }, { cause: error });
  }
}

const UNITS: Readonly<Record<string, number>> = { m: 60, h: 3600, d: 86_400, w: 604_800 };

/** `90m`, `24h`, `7d`, `2w` before `now`, or a date and time as ISO 8601 (local without zone). Seconds; null: neither. */
export function parseTime(text: string, now: number): number | null {
  const [, count, unit = ''] = /^(\d{1,6})([mhdw])$/.exec(text) ?? [];
  if (count !== undefined) return now - Number(count) * (UNITS[unit] ?? 0);
  // A date alone would be taken as UTC.
  const local = /^\d{4}-\d\d-\d\d$/.test(text) ? `${text}T00:00` : text.replace(' ', 'T');
  const milliseconds = /^\d{4}-\d\d-\d\dT/.test(local) ? Date.parse(local) : Number.NaN;
  return Number.isNaN(milliseconds) ? null : Math.floor(milliseconds / 1000);
}

/** The table for people. */
export function historyText(rows: readonly HistoryRow[], now: number): string {
  if (rows.length === 0) return 'no sessions';
  const cells = rows.map((row) => [
    row.user,
    row.remoteIp,
    row.ipv4 ?? row.ipv6 ?? '',
    formatTime(row.connected),
    formatAge((row.disconnected ?? now) - row.connected).trim(),
    formatBytes(row.bytesIn),
    formatBytes(row.bytesOut),
    row.disconnected === null ? '(connected)' : (row.reason ?? ''),
  ]);
  return plainTable(['user', 'from', 'address', 'connected', 'for', 'RX', 'TX', 'ended by'], [], cells);
}
