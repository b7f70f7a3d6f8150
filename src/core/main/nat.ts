/**
 * Forwarding and masquerading for the address pools (option `nat`).
 *
 * Everything is in one nftables table of our own, named after the run directory, so that a table which a killed
 * server left behind is found and replaced, and two servers do not touch each other's. An accept in our table cannot
 * overrule a drop in somebody else's: `firewallDrops` finds that out for a notice.
 */
import { createHash } from 'node:crypto';
import type { ServerConfig, VhostConfig } from '../config/schema.js';
import { formatNetwork, parseNetwork } from './ip.js';
import { dropTable, nft } from './nft.js';

export interface NatPlan {
  readonly table: string;
  /** Name prefix of the tun devices. */
  readonly device: string;
  /** Pools in CIDR form. */
  readonly ipv4: readonly string[];
  readonly ipv6: readonly string[];
}

/** The pools of all virtual hosts. */
export function planNat(config: ServerConfig, runDir: string): NatPlan {
  const vhosts: VhostConfig[] = [config.default, ...config.vhosts.values()];
  const pools = (name: 'ipv4-network' | 'ipv6-network') => {
    const set = vhosts
      .filter((vhost) => vhost[name] !== '')
      .map((vhost) => formatNetwork(parseNetwork(vhost[name], vhost['ipv4-netmask'])));
    return [...new Set(set)];
  };
  const id = createHash('sha256').update(runDir).digest('hex').slice(0, 8);
  return {
    table: `ocvpn_${id}`,
    device: config.default.device,
    ipv4: pools('ipv4-network'),
    ipv6: pools('ipv6-network'),
  };
}

/** One transaction: the table is replaced whether or not it was there. */
export function natRules({ table, device, ipv4, ipv6 }: NatPlan): string {
  const set = (items: readonly string[]) => `{ ${items.join(', ')} }`;
  const tun = `"${device}*"`;
  const masquerade = [
    ipv4.length > 0 ? `    ip saddr ${set(ipv4)} oifname != ${tun} masquerade` : '',
    ipv6.length > 0 ? `    ip6 saddr ${set(ipv6)} oifname != ${tun} masquerade` : '',
  ].filter((line) => line !== '');
  return [
    dropTable(table),
    `table inet ${table} {`,
    '  chain forward {',
    '    type filter hook forward priority filter; policy accept;',
    `    iifname ${tun} accept`,
    `    oifname ${tun} accept`,
    '  }',
    '  chain postrouting {',
    '    type nat hook postrouting priority srcnat; policy accept;',
    ...masquerade,
    '  }',
    '}',
    '',
  ].join('\n');
}

/** Installs the table. Rejects with nft's own words, or ENOENT when nft is not installed. */
export async function installNat(plan: NatPlan): Promise<void> {
  await nft(['-f', '-'], natRules(plan));
}

/** Removes the table; one that is not there is fine. */
export async function removeNat({ table }: Pick<NatPlan, 'table'>): Promise<void> {
  await nft(['-f', '-'], `${dropTable(table)}\n`);
}

/** Chains of other tables that drop forwarded packets by default, as `family table chain`. */
export async function firewallDrops(): Promise<string[]> {
  const listing: unknown = JSON.parse(await nft(['-j', 'list', 'chains'], ''));
  const entries = (listing as { nftables?: { chain?: Record<string, unknown> }[] }).nftables ?? [];
  return entries
    .map(({ chain }) => chain)
    .filter((chain) => chain?.hook === 'forward' && chain.policy === 'drop')
    .map((chain) => `${chain?.family} ${chain?.table} ${chain?.name}`);
}
