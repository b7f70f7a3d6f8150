/** Limits of the kernel that many clients reach together. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseNetwork } from '../config/networks.js';
import type { VhostConfig } from '../config/schema.js';
import { DEFAULT_MAX_CLIENTS } from '../main/acceptor.js';
import { type Check, ok, warning } from './finding.js';

const CONNTRACK = '/proc/sys/net/netfilter';
/** A browser with a few pages open; entries stay for minutes after a connection has ended. */
const CONNECTIONS_PER_CLIENT = 100;
const NEARLY_FULL = 0.9;
/** Network, broadcast, and the server's own end. */
const NOT_FOR_CLIENTS = 3;

/** Packets of clients that find no room in the table of connections are dropped. Nothing is found where none is kept. */
export const connections: Check = ({ config }) => {
  const [most, now] = [figure('nf_conntrack_max'), figure('nf_conntrack_count')];
  if (most === null || now === null) return [];
  const clients = clientsAtMost(config.default['max-clients'], [config.default, ...config.vhosts.values()]);
  const wanted = clients * CONNECTIONS_PER_CLIENT;
  const mend = `Raise it: "sysctl -w net.netfilter.nf_conntrack_max=${Math.max(wanted, most * 2)}", and keep it in /etc/sysctl.d.`;
  if (now > most * NEARLY_FULL) {
    const say = `The kernel's table of connections is nearly full (${now} of ${most}): new ones will be dropped.`;
    return [warning('connections', say, mend)];
  }
  if (most < wanted) {
    const say = `The kernel follows ${most} connections at most, which is few for ${clients} clients.`;
    return [warning('connections', say, mend)];
  }
  return [ok('connections', `The kernel follows up to ${most} connections.`)];
};

/** null: connections are not followed on this machine. */
function figure(name: string): number | null {
  try {
    return Number(readFileSync(join(CONNTRACK, name), 'utf8'));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
    throw error;
  }
}

/** As many as are let in and have an IPv4 address. */
function clientsAtMost(maxClients: number, vhosts: readonly VhostConfig[]): number {
  const letIn = maxClients === 0 ? DEFAULT_MAX_CLIENTS : maxClients;
  const pools = vhosts.flatMap((vhost) => {
    const pool = parseNetwork(vhost['ipv4-network'], vhost['ipv4-netmask']);
    return pool ? [Math.max(2 ** (32 - pool.prefix) - NOT_FOR_CLIENTS, 1)] : [];
  });
  return pools.length === 0
    ? letIn
    : Math.min(
        letIn,
        pools.reduce((sum, one) => sum + one),
      );
}
