/** A client of main's table as a row of the history. */
import type { HistoryRow } from '../history/history.js';
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
