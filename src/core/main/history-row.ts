/** A client of main's table as a row of the history. */
import type { ServerConfig } from '../config/schema.js';
import { VpnError } from '../errors.js';
import { History, type HistoryRow } from '../history/history.js';
import type { Logger } from '../log.js';
import type { CloseReason } from '../native/types.js';
import type { Client } from './clients.js';

/** `reason` null: the tunnel is open. Throws for a client without a session, which has no place in the history. */
export function historyRow(client: Client, reason: CloseReason | null, now: number): HistoryRow {
  const { session } = client;
  if (session === null) throw new Error(`client ${client.id} has no session`);
  return {
    session: session.safeId,
    client: client.id,
    user: session.userName,
    group: session.groupName,
    vhost: session.vhost,
    remoteIp: client.remote.address,
    ipv4: session.lease.ipv4?.address ?? null,
    ipv6: session.lease.ipv6?.address ?? null,
    userAgent: session.userAgent,
    connected: session.connectedAt,
    disconnected: reason === null ? null : now,
    reason,
    ...session.counters,
  };
}

const nowSec = (): number => Math.floor(Date.now() / 1000);

/** Null with history-days 0, and when the file cannot be used: the server runs without. */
export function openHistory(options: {
  readonly config: ServerConfig;
  readonly historyFile: string;
  readonly log: Logger;
  readonly notice: (error: VpnError) => void;
}): History | null {
  const days = options.config.default['history-days'];
  if (days === 0) return null;
  try {
    return new History({ path: options.historyFile, days, log: options.log, now: nowSec });
  } catch (error) {
    if (!(error instanceof VpnError)) throw error;
    options.notice(error);
    return null;
  }
}

/** Brings the open tunnels that have carried something in the history up to date. */
export function recordChanged(history: History | null, changed: Iterable<Client>): void {
  const open = [...changed].filter(({ session, state }) => session !== null && state !== 'CLOSED');
  history?.maintain(open.map((client) => historyRow(client, null, nowSec())));
}
