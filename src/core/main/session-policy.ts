/** Whether a user may open a session here and now: what the configuration and the other sessions say. */
import type { Client, ClientTable } from './clients.js';
import type { OpenedSession } from './new-session.js';

/** The worker is told; the message is for its log. */
export class Refused extends Error {}

/**
 * `older`: the connection that had this session before. Throws Refused by deny-roaming, by max-same-clients, and for a
 * session that is not the client's to take.
 */
export function checkPolicy(
  clients: Pick<ClientTable, 'byUser'>,
  client: Client,
  older: Client | undefined,
  { config, userName, ip }: OpenedSession,
): void {
  if (older?.session && older.session.userName !== userName)
    throw new Refused('the session belongs to another user');
  if (older?.ending && !older.ending.stolen) throw new Refused('the server is ending the session');
  if (config.denyRoaming && client.remote.address !== ip)
    throw new Refused(`roaming is denied: the login came from ${ip}`);
  if (config.maxSameClients === 0) return;
  let others = 0;
  for (const other of clients.byUser(userName)) if (other !== older && other.ending === null) others++;
  if (others + 1 > config.maxSameClients)
    throw new Refused(`user ${userName} has ${others} sessions already (max-same-clients)`);
}
