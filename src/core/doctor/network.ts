/** The way of the packets: ports, forwarding, NAT, name servers. */
import { Resolver } from 'node:dns/promises';
import { readFileSync } from 'node:fs';
import type { VhostConfig } from '../config/schema.js';
import { VpnError } from '../errors.js';
import { bindAll, resolveHost } from '../main/listeners.js';
import { firewallDrops } from '../main/nat.js';
import { socketsIn } from '../main/netns.js';
import { nft } from '../main/nft.js';
import { devicesHaveIpv6 } from '../main/preflight.js';
import { native } from '../native/index.js';
import { fileReason } from '../util/file-reason.js';
import { type Check, caught, type Finding, failure, ok, warning } from './finding.js';

const DNS_TIMEOUT_MS = 2000;
const DNS_TRIES = 2;

export const ports: Check = async ({ config, running }) => {
  const main = config.default;
  const wanted = [
    ['TCP', main['tcp-port'], main['listen-host']] as const,
    ['UDP', main['udp-port'], main['udp-listen-host'] || main['listen-host']] as const,
  ];
  const findings: Finding[] = [];
  for (const [protocol, port, host] of wanted) {
    if (port !== 0) findings.push(await portFinding(protocol, port, host, main['listen-netns'], running));
  }
  if (main['udp-port'] === 0) {
    const mend = 'Set udp-port, and let it pass the firewall; tunnels over TCP alone are slow on bad lines.';
    findings.push(warning('ports', 'DTLS is off (udp-port is 0).', mend));
  }
  return findings;
};

async function portFinding(
  protocol: 'TCP' | 'UDP',
  port: number,
  host: string,
  netns: string,
  running: number | null,
): Promise<Finding> {
  if (running !== null)
    return ok('ports', `${protocol} port ${port} belongs to the server that runs (process ${running}).`);
  try {
    const io = socketsIn(native.io, netns);
    const { bound } = bindAll(io, protocol, await resolveHost(host), port);
    for (const { fd } of bound) native.io.close(fd);
    return ok('ports', `${protocol} port ${port} is free.`);
  } catch (error) {
    return caught('ports', error);
  }
}

/** Each family that has a pool, and its kernel switch. */
const SWITCHES = {
  ipv4: '/proc/sys/net/ipv4/ip_forward',
  ipv6: '/proc/sys/net/ipv6/conf/all/forwarding',
} as const;

export const forwarding: Check = ({ config }) => {
  const { default: main } = config;
  const families = familiesOf([main, ...config.vhosts.values()]);
  return families.map((family) => {
    if (family === 'ipv6' && !devicesHaveIpv6())
      return caught('forwarding', new VpnError('OCS_TUNNEL_IPV6'), 'warning');
    const path = SWITCHES[family];
    if (isOn(path)) return ok('forwarding', `The kernel forwards ${family}.`);
    if (main.nat)
      return ok('forwarding', `The kernel does not forward ${family}; the server turns it on (nat).`);
    const name = path.replace('/proc/sys/', '').replaceAll('/', '.');
    const mend = `Turn it on with "sysctl -w ${name}=1" and keep it in /etc/sysctl.d, or set nat to true.`;
    return failure(
      'forwarding',
      `The kernel does not forward ${family}: clients reach this machine only.`,
      mend,
    );
  });
};

function familiesOf(vhosts: readonly VhostConfig[]): ('ipv4' | 'ipv6')[] {
  return (['ipv4', 'ipv6'] as const).filter((family) =>
    vhosts.some((vhost) => vhost[`${family}-network`] !== ''),
  );
}

function isOn(path: string): boolean {
  try {
    return readFileSync(path, 'utf8').trim() !== '0';
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return false;
    throw error;
  }
}

export const nat: Check = async ({ config }) => {
  const findings: Finding[] = [];
  try {
    await nft(['list', 'tables'], '');
    const found = config.default.nat
      ? 'NAT for the address pools can be set up.'
      : 'NAT is left to you (nat is false).';
    findings.push(ok('nat', found));
    const chains = await firewallDrops();
    if (chains.length > 0) {
      const say = `This machine's firewall drops forwarded packets (${chains.join(', ')}).`;
      findings.push(
        warning('nat', say, `Allow forwarding from and to the interfaces ${config.default.device}* there.`),
      );
    }
  } catch (error) {
    const missing = (error as NodeJS.ErrnoException).code === 'ENOENT';
    const say = missing ? 'nft is not installed.' : `nft cannot be used: ${fileReason(error)}.`;
    const mend = missing ? 'Install nftables ("apt-get install nftables").' : 'Run this as root.';
    const needed = config.default.nat || config.default['restrict-user-to-routes'];
    if (needed) findings.push(failure('nat', say, mend));
    else
      findings.push(
        warning('nat', say, `${mend} Without it no session can be restricted to routes or ports.`),
      );
  }
  return findings;
};

/** The name servers that clients are given must answer: a client sends all its questions there. */
export const dns: Check = async ({ config }) => {
  const servers = [...new Set([config.default, ...config.vhosts.values()].flatMap((vhost) => vhost.dns))];
  if (servers.length === 0) {
    const mend =
      'Set dns when clients reach everything through the tunnel: their own name servers may be out of reach.';
    return [warning('dns', 'Clients are given no name server.', mend)];
  }
  return Promise.all(servers.map(dnsFinding));
};

async function dnsFinding(server: string): Promise<Finding> {
  const resolver = new Resolver({ timeout: DNS_TIMEOUT_MS, tries: DNS_TRIES });
  try {
    resolver.setServers([server.includes(':') ? `[${server}]` : server]);
    await resolver.resolveNs('.');
  } catch (error) {
    const { code = '' } = error as NodeJS.ErrnoException;
    // An answer of any kind is an answer.
    if (['ETIMEOUT', 'ECONNREFUSED', 'ECANCELLED', 'EBADRESP'].includes(code)) {
      const mend = 'Check that it runs and that this machine may ask it, or name another one in dns.';
      return warning('dns', `The name server ${server} does not answer (${code}).`, mend);
    }
  }
  return ok('dns', `The name server ${server} answers.`);
}
