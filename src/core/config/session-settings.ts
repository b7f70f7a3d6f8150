/** The options of a virtual host with what an authentication back end decided about one session. */
import { VpnError } from '../errors.js';
import type { SessionSettings } from '../plugin-api/index.js';
import { checkPools } from './cross-checks.js';
import { firstHost, parseNetwork } from './networks.js';
import type { VhostConfig } from './schema.js';

/** They take the place of config-per-user and config-per-group. Throws OCS_CONFIG for what cannot be used. */
export function withSessionSettings(vhost: VhostConfig, settings: SessionSettings): VhostConfig {
  const fail = (detail: string): never => {
    throw new VpnError('OCS_CONFIG', { detail: `from the authentication back end: ${detail}` });
  };
  const unusable = settings.routes?.find((route) => parseNetwork(route) === null);
  if (unusable !== undefined) fail(`${JSON.stringify(unusable)} is not a route`);
  const own: Partial<VhostConfig> = {
    ...addresses(settings, fail),
    ...given('route', settings.routes && [...settings.routes]),
    ...given('dns', settings.dns && [...settings.dns]),
    ...given('session-timeout', settings.sessionTimeoutSec),
    ...given('idle-timeout', settings.idleTimeoutSec),
    ...given('mobile-idle-timeout', settings.idleTimeoutSec),
    ...given('stats-report-time', settings.statsReportTimeSec),
    ...given('rx-data-per-sec', settings.rxBytesPerSec),
    ...given('tx-data-per-sec', settings.txBytesPerSec),
  };
  const config: VhostConfig = { ...vhost, ...own };
  const [problem] = checkPools(config);
  if (problem) fail(`${problem.option}: ${problem.problem}`);
  return config;
}

type AddressOption =
  | 'explicit-ipv4'
  | 'explicit-ipv6'
  | 'ipv4-network'
  | 'ipv4-netmask'
  | 'ipv6-subnet-prefix';
type Addresses = { -readonly [K in AddressOption]?: VhostConfig[K] };

function given<K extends keyof VhostConfig>(option: K, value: VhostConfig[K] | undefined) {
  return value === undefined ? {} : { [option]: value };
}

function addresses(
  { ipv4, ipv4Netmask, ipv6, ipv6Network }: SessionSettings,
  fail: (detail: string) => never,
): Addresses {
  const own: Addresses = {};
  if (ipv4 !== undefined) own['explicit-ipv4'] = ipv4;
  if (ipv6 !== undefined) own['explicit-ipv6'] = ipv6;
  // The mask of a single host says nothing about a network.
  if (ipv4 !== undefined && ipv4Netmask !== undefined && ipv4Netmask !== '255.255.255.255') {
    const network = parseNetwork(ipv4, ipv4Netmask) ?? fail(`${ipv4Netmask} is not a netmask`);
    own['ipv4-network'] = network.address;
    own['ipv4-netmask'] = ipv4Netmask;
  }
  if (ipv6Network !== undefined) {
    const network = parseNetwork(ipv6Network) ?? fail(`${ipv6Network} is not a network`);
    own['explicit-ipv6'] = ipv6 ?? firstHost(network);
    own['ipv6-subnet-prefix'] = network.prefix;
  }
  return own;
}
