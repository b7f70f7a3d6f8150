/** What `vpn serve` tells the person who started it, on stdout. */

import { isIP } from 'node:net';
import { networkInterfaces } from 'node:os';
import { parseNetwork } from '../config/networks.js';
import type { ServerConfig } from '../config/schema.js';

export interface FirstLogin {
  readonly userName: string;
  /** null: not the generated one any more. */
  readonly password: string | null;
  /** `pin-sha256:…` */
  readonly pin: string;
}

export interface Announcement {
  readonly config: ServerConfig;
  /** Addresses that TCP is bound to; none with --no-workers. */
  readonly tcp: readonly string[];
  readonly udp: readonly string[];
  /** Tunnels can have IPv6 addresses. */
  readonly ipv6: boolean;
  readonly runDir: string;
  /** With the embedded default. */
  readonly login: FirstLogin | null;
  readonly natOn: boolean;
}

const hostPort = (address: string, port: number): string =>
  `${isIP(address) === 6 ? `[${address}]` : address}:${port}`;

/** The lines, the last one without line end. */
export function announce(announcement: Announcement): string {
  const { login } = announcement;
  return [...listening(announcement), ...(login ? connecting(announcement, login) : [])].join('\n');
}

function listening({ config, tcp, udp, ipv6, runDir, natOn }: Announcement): string[] {
  const {
    'tcp-port': tcpPort,
    'udp-port': udpPort,
    'ipv4-network': ipv4,
    'ipv4-netmask': mask4,
    'ipv6-network': network6,
  } = config.default;
  const list = (addresses: readonly string[], port: number) =>
    addresses.map((address) => hostPort(address, port)).join(', ') || 'none';
  const pools = [parseNetwork(ipv4, mask4), parseNetwork(ipv6 ? network6 : '')]
    .flatMap((pool) => (pool ? `${pool.address}/${pool.prefix}` : []))
    .join(', ');
  return [
    'vpn is ready',
    `  configuration  ${config.source ?? 'embedded default'}`,
    `  TLS            ${list(tcp, tcpPort)}`,
    `  DTLS           ${udpPort === 0 ? 'off' : list(udp, udpPort)}`,
    `  addresses      ${pools || 'none'}${natOn ? ', forwarded with NAT' : ''}`,
    `  control        vpn ctl show status --run-dir ${runDir}`,
  ];
}

function connecting({ config, tcp }: Announcement, { userName, password, pin }: FirstLogin): string[] {
  const server = hostPort(publicAddress(tcp), config.default['tcp-port']);
  const command = `openconnect --protocol=anyconnect --servercert ${pin} --user ${userName}`;
  if (password === null) {
    return ['', 'Connect from a client with:', '', `  sudo ${command} ${server}`, ''];
  }
  return [
    '',
    `Connect from a client with (user ${userName}, password ${password}):`,
    '',
    `  echo '${password}' | sudo ${command} --passwd-on-stdin ${server}`,
    '',
  ];
}

/** The address to show: the one that is bound, or for a wildcard the first that others can reach. */
export function publicAddress(bound: readonly string[], interfaces = networkInterfaces()): string {
  const own = bound.find((address) => address !== '0.0.0.0' && address !== '::');
  if (own !== undefined) return own;
  const candidates = Object.values(interfaces)
    .flat()
    .filter((entry) => entry !== undefined)
    .filter(({ internal, address }) => !internal && !address.startsWith('fe80:'));
  const chosen = candidates.find(({ family }) => family === 'IPv4') ?? candidates[0];
  return chosen?.address ?? 'localhost';
}
