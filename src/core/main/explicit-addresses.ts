/** explicit-ipv4 and explicit-ipv6: addresses that belong to one user, by configuration or by RADIUS. */
import type { Client, ClientTable } from './clients.js';
import type { Lease, LeaseRequest, LeaseTable } from './leases.js';
import type { OpenedSession } from './new-session.js';
import type { Reservations } from './reservations.js';

export interface Holders {
  readonly clients: Pick<ClientTable, 'byId'>;
  readonly leases: Pick<LeaseTable, 'holderOf'>;
  readonly reservations: Reservations;
}

/**
 * A user who logs in anew gets the addresses from the user's earlier sessions. What waits for a cookie is given back here;
 * returned are the clients that still have a tunnel with one of them.
 */
export function reclaimExplicit(opened: OpenedSession, { clients, leases, reservations }: Holders): Client[] {
  const displaced = new Set<Client>();
  for (const address of [opened.config.explicitIpv4, opened.config.explicitIpv6]) {
    const owner = address === '' ? null : leases.holderOf(address);
    if (owner === null || owner === opened.safeId) continue;
    if (typeof owner === 'string') {
      reservations.releaseOf(owner, opened.userName);
      continue;
    }
    const holder = clients.byId(owner);
    const { userName, vhost, safeId } = holder?.session ?? {};
    if (holder && userName === opened.userName && vhost === opened.vhost && safeId !== opened.safeId)
      displaced.add(holder);
  }
  return [...displaced];
}

/** Those that a client wants and did not get. */
export function missingExplicit({ pool, ipv4, ipv6 }: LeaseRequest, lease: Lease | null): string[] {
  const wanted = [
    [ipv4 ? pool.explicitIpv4 : '', lease?.ipv4],
    [ipv6 ? pool.explicitIpv6 : '', lease?.ipv6],
  ] as const;
  return wanted.flatMap(([address, given]) => (address === '' || given ? [] : [address]));
}
