/**
 * The configuration of one session in the form that main and the worker get (group_cfg). Per-user and per-group
 * files are merged into the options of the virtual host before, by withUserFiles.
 */

import type { TypeOf } from '../ipc/fields.js';
import type { groupConfig } from '../ipc/messages.js';
import { ipv4Mask, isDefaultRoute, parseNetwork, routeText } from './networks.js';
import type { VhostConfig } from './schema.js';

export type GroupConfig = TypeOf<ReturnType<typeof groupConfig>>;

/** What was made of options without a user's or group's files is the same for every session. */
const made = new WeakMap<VhostConfig, GroupConfig>();

/** Configuration of a session with these options. Expects a validated configuration. Not to be changed. */
export function sessionConfig(vhost: VhostConfig): GroupConfig {
  const known = made.get(vhost);
  if (known) return known;
  const config = {
    ...routing(vhost),
    ...names(vhost),
    ...timers(vhost),
    ...addresses(vhost),
    ...limits(vhost),
  };
  made.set(vhost, config);
  return config;
}

function routing(vhost: VhostConfig) {
  const { route } = vhost;
  return {
    // One default route makes the rest of the list meaningless, as in ocserv.
    routes: route.some(isDefaultRoute) ? [] : route.map(normalRoute),
    noRoutes: vhost['no-route'].map(normalRoute),
    iroutes: vhost.iroute.map(normalRoute),
    restrictUserToRoutes: vhost['restrict-user-to-routes'],
    restrictUserToPorts: vhost['restrict-user-to-ports'],
    clientBypassProtocol: vhost['client-bypass-protocol'],
  };
}

function normalRoute(text: string): string {
  const network = parseNetwork(text);
  return network ? routeText(network) : text;
}

function names(vhost: VhostConfig) {
  return {
    dns: [...vhost.dns],
    nbns: [...vhost.nbns],
    splitDns: [...vhost['split-dns']],
    tunnelAllDns: vhost['tunnel-all-dns'],
    hostname: vhost.hostname,
    defaultDomain: vhost['default-domain'],
    banner: vhost.banner,
    xmlConfigFile: vhost['user-profile'],
  };
}

function timers(vhost: VhostConfig) {
  return {
    dpdSec: vhost.dpd,
    mobileDpdSec: vhost['mobile-dpd'],
    keepaliveSec: vhost.keepalive,
    idleTimeoutSec: vhost['idle-timeout'],
    mobileIdleTimeoutSec: vhost['mobile-idle-timeout'] || vhost['idle-timeout'],
    sessionTimeoutSec: vhost['session-timeout'],
    statsReportTimeSec: vhost['stats-report-time'],
  };
}

/** The IPv4 pool as network and mask, the IPv6 pool as network/prefix; '' without a pool. */
function addresses(vhost: VhostConfig) {
  const ipv4 = vhost['ipv4-network'] ? parseNetwork(vhost['ipv4-network'], vhost['ipv4-netmask']) : null;
  const ipv6 = vhost['ipv6-network'] ? parseNetwork(vhost['ipv6-network']) : null;
  return {
    ipv4Network: ipv4?.address ?? '',
    ipv4Netmask: ipv4 ? ipv4Mask(ipv4.prefix) : '',
    ipv6Network: ipv6 ? routeText(ipv6) : '',
    ipv6SubnetPrefix: vhost['ipv6-subnet-prefix'],
    explicitIpv4: vhost['explicit-ipv4'],
    explicitIpv6: vhost['explicit-ipv6'],
  };
}

function limits(vhost: VhostConfig) {
  return {
    noUdp: vhost['no-udp'],
    denyRoaming: vhost['deny-roaming'],
    mtu: vhost.mtu,
    rxBytesPerSec: vhost['rx-data-per-sec'],
    txBytesPerSec: vhost['tx-data-per-sec'],
    netPriority: vhost['net-priority'],
    maxSameClients: vhost['max-same-clients'],
  };
}
