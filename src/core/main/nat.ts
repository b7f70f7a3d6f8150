/**
 * Forwarding and masquerading for the address pools (option `nat`).
 *
 * Everything is in one nftables table of our own, named after the run directory, so that a table which a killed
 * server left behind is found and replaced, and two servers do not touch each other's. An accept in our table cannot
 * overrule a drop in somebody else's: `firewallDrops` finds that out for a notice. What comes from a client is known by
 * its device and not by its address, which files of users and the back end may take from other networks than the pools.
 */
import { createHash } from 'node:crypto';
import type { ServerConfig } from '../config/schema.js';
import { dropTable, nft } from './nft.js';

export interface NatPlan {
  readonly table: string;
  /** Name prefix of the tun devices. */
  readonly device: string;
  /** Families of the pools. */
  readonly ipv4: boolean;
  readonly ipv6: boolean;
}

/** What the pools of all virtual hosts need. */
export function planNat(config: ServerConfig, runDir: string): NatPlan {
  const vhosts = [config.default, ...config.vhosts.values()];
  const id = createHash('sha256').update(runDir).digest('hex').slice(0, 8);
  return {
    table: `ocvpn_${id}`,
    device: config.default.device,
    ipv4: vhosts.some((vhost) => vhost['ipv4-network'] !== ''),
    ipv6: vhosts.some((vhost) => vhost['ipv6-network'] !== ''),
  };
}

/** One transaction: the table is replaced whether or not it was there. */
export function natRules({ table, device }: Pick<NatPlan, 'table' | 'device'>): string {
  const tun = `"${device}*"`;
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
    `    iifname ${tun} oifname != ${tun} masquerade`,
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
