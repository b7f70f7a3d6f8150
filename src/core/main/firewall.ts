/**
 * restrict-user-to-routes and restrict-user-to-ports: one nftables table per session, `inet ocserv_<device>` as
 * ocserv's own script names it, so that administrators find what they know. The rules look at packets that come in
 * from the client's device; a reject is final whatever other tables accept.
 */
import { readFileSync } from 'node:fs';
import { type PortRule, parsePorts } from '../config/fw-ports.js';
import type { Session } from './clients.js';
import { formatNetwork, parseNetwork } from './ip.js';
import { dropTable, nft } from './nft.js';

const PREFIX = 'ocserv_';
const DEVICES = '/proc/net/dev';

/** Table of a device. */
const tableOf = (device: string): string => `${PREFIX}${device.replaceAll(/[^A-Za-z0-9]/g, '_')}`;

export type Restrictions = Pick<
  Session['config'],
  'restrictUserToRoutes' | 'restrictUserToPorts' | 'routes' | 'noRoutes' | 'dns'
>;

/** Whether a session needs a table. */
export const isRestricted = (config: Restrictions): boolean =>
  config.restrictUserToRoutes || config.restrictUserToPorts !== '';

/** The script that makes the table of a session. Throws RangeError for a network or port list that cannot be read. */
export function firewallRules(device: string, config: Restrictions): string {
  const ports = parsePorts(config.restrictUserToPorts);
  if (ports === null) throw new RangeError(`"${config.restrictUserToPorts}" is no list of ports`);
  const matches = ports.rules.map(portMatch);
  const table = tableOf(device);
  const chain = ports.negated
    ? [...matches.map((match) => `${match} reject`), 'goto routes']
    : matches.length > 0
      ? [...matches.map((match) => `${match} goto routes`), 'reject']
      : ['goto routes'];
  return [
    dropTable(table),
    `table inet ${table} {`,
    '  chain routes {',
    ...routeRules(config).map((rule) => `    ${rule}`),
    '  }',
    '  chain forward {',
    '    type filter hook forward priority filter - 10; policy accept;',
    `    iifname != "${device}" accept`,
    '    ct direction reply ct state established,related accept',
    ...dnsRules(config.dns).map((rule) => `    ${rule}`),
    ...chain.map((rule) => `    ${rule}`),
    '  }',
    '}',
    '',
  ].join('\n');
}

function portMatch({ protocol, port }: PortRule): string {
  const name = protocol === 'icmpv6' ? 'ipv6-icmp' : protocol;
  return port === null ? `meta l4proto ${name}` : `${protocol} dport ${port}`;
}

/** `ip daddr { … }` and `ip6 daddr { … }` of these networks, none for a family without any. */
function destinations(networks: readonly string[]): string[] {
  const parsed = networks.map((text) => parseNetwork(text));
  const match = (family: 4 | 6, key: string): string[] => {
    const set = [...new Set(parsed.filter((network) => network.family === family).map(formatNetwork))];
    return set.map((network) => `${key} daddr ${network}`);
  };
  return [...match(4, 'ip'), ...match(6, 'ip6')];
}

function dnsRules(servers: readonly string[]): string[] {
  const hosts = servers.map((server) => `${server}/${server.includes(':') ? 128 : 32}`);
  return destinations(hosts).map((match) => `${match} meta l4proto { tcp, udp } th dport 53 accept`);
}

function routeRules({ restrictUserToRoutes, routes, noRoutes }: Restrictions): string[] {
  if (!restrictUserToRoutes) return ['accept'];
  return [
    ...destinations(noRoutes).map((match) => `${match} reject`),
    ...(routes.length === 0 ? ['accept'] : [...destinations(routes).map((m) => `${m} accept`), 'reject']),
  ];
}

/** Makes the table. Rejects with nft's words. */
export async function installFirewall(device: string, config: Restrictions): Promise<void> {
  await nft(['-f', '-'], firewallRules(device, config));
}

export async function removeFirewall(device: string): Promise<void> {
  await nft(['-f', '-'], `${dropTable(tableOf(device))}\n`);
}

/** Removes tables that a killed server left for devices (with this name prefix) that are gone; returns their names. */
export async function removeStaleFirewalls(devicePrefix: string): Promise<string[]> {
  const listing = JSON.parse(await nft(['-j', 'list', 'tables'], '')) as {
    nftables?: { table?: { family: string; name: string } }[];
  };
  const living = new Set(deviceNames().map(tableOf));
  const stale = (listing.nftables ?? [])
    .flatMap(({ table }) => (table?.family === 'inet' ? [table.name] : []))
    .filter((name) => name.startsWith(tableOf(devicePrefix)))
    .filter((name) => !living.has(name));
  if (stale.length > 0) await nft(['-f', '-'], `${stale.map(dropTable).join('\n')}\n`);
  return stale;
}

const deviceNames = (): string[] =>
  readFileSync(DEVICES, 'utf8')
    .split('\n')
    .slice(2)
    .flatMap((line) => line.match(/^\s*([^:]+):/)?.[1] ?? []);
