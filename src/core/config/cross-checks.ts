/** Checks of options against each other. Each returns everything that is wrong, not the first mistake only. */
import ipaddr from 'ipaddr.js';
import { type AuthMethod, parseAuthMethod } from './auth-method.js';
import { mapPriority } from './gnutls-priority.js';
import { type Network, parseNetwork } from './networks.js';
import type { OptionName, ServerConfig, VhostConfig } from './schema.js';

export interface Problem {
  readonly option: OptionName;
  readonly problem: string;
}

/** Checks one virtual host, e.g. what of it this machine does not have. */
export type VhostCheck = (vhost: VhostConfig) => Problem[];

const MAX_METHODS = 4;
const MAX_SUB_OPTIONS = 5;
/** Methods that ask for a password: a login form can serve one of them. */
const PASSWORD_METHODS: readonly string[] = ['plain', 'pam', 'radius'];
/** Longer pools have no room for the server, a client, and the two ends of the range. */
const MAX_POOL_PREFIX = { 4: 30, 6: 126 } as const;

/** Checks of one virtual host as a whole. */
export function checkVhost(vhost: VhostConfig): Problem[] {
  return [
    ...methodProblems(vhost),
    ...certificateProblems(vhost),
    ...checkPools(vhost),
    ...channelProblems(vhost),
    ...camouflageProblems(vhost),
  ];
}

function methodProblems(vhost: VhostConfig): Problem[] {
  const problems: Problem[] = [];
  const add = (problem: string, option: OptionName = 'auth'): void => void problems.push({ option, problem });
  const methods = [...vhost.auth, ...vhost['enable-auth']].map(parseAuthMethod).filter(isMethod);
  const names = methods.map(({ name }) => name);
  const passwords = names.filter((name) => PASSWORD_METHODS.includes(name));
  if (vhost.auth.length === 0) add('is missing: nobody could log in');
  if (passwords.length > 1)
    add(`only one method that asks for a password can be used, not ${passwords.join(' and ')}`);
  if (methods.length > MAX_METHODS)
    add(`has ${methods.length} methods with enable-auth, at most ${MAX_METHODS} are allowed`);
  for (const { name, options } of methods) {
    if (options.size > MAX_SUB_OPTIONS) add(`${name} has more than ${MAX_SUB_OPTIONS} sub-options`);
  }
  if (names.includes('certificate')) {
    if (vhost['ca-cert'] === '') add('is missing: certificate authentication needs it', 'ca-cert');
    if (vhost['cert-user-oid'] === '')
      add('is missing: certificate authentication needs it', 'cert-user-oid');
  }
  const fromRadius = methods.some(({ options }) => options.get('groupconfig')?.toLowerCase() === 'true');
  for (const option of ['config-per-user', 'config-per-group'] as const) {
    if (fromRadius && vhost[option] !== '') add('cannot be used with groupconfig=true in auth', option);
  }
  return problems;
}

const isMethod = (method: AuthMethod | string): method is AuthMethod => typeof method !== 'string';

function certificateProblems(vhost: VhostConfig): Problem[] {
  const [certs, keys] = [vhost['server-cert'].length, vhost['server-key'].length];
  if (certs === 0) return [{ option: 'server-cert', problem: 'is missing' }];
  return certs === keys ? [] : [{ option: 'server-key', problem: `${keys} given for ${certs} server-cert` }];
}

/** Checks of the address pools; the first problem is the one to mend first. */
export function checkPools(vhost: VhostConfig): Problem[] {
  const [text4, text6, mask] = [vhost['ipv4-network'], vhost['ipv6-network'], vhost['ipv4-netmask']];
  const problems: Problem[] = [];
  const add = (option: OptionName, problem: string): void => void problems.push({ option, problem });
  if (!text4 && !text6) add('ipv4-network', 'no address pool, neither IPv4 nor IPv6');
  if (mask && !text4) add('ipv4-netmask', 'is given without ipv4-network');
  const pool4 = text4 ? parseNetwork(text4, mask) : null;
  if (text4 && !isPool(pool4, 4)) {
    const shown = text4.includes('/') || mask === '' ? text4 : `${text4}/${mask}`;
    add('ipv4-network', `"${shown}" is no IPv4 network with a length of at most ${MAX_POOL_PREFIX[4]}`);
  } else if (pool4 && mask && parseNetwork(pool4.address, mask)?.prefix !== pool4.prefix) {
    add('ipv4-netmask', `${mask} contradicts the length in ipv4-network = ${text4}`);
  }
  const pool6 = text6 ? parseNetwork(text6) : null;
  if (text6 && !isPool(pool6, 6))
    add('ipv6-network', `"${text6}" is no IPv6 network with a length of at most ${MAX_POOL_PREFIX[6]}`);
  const perClient = vhost['ipv6-subnet-prefix'];
  // An explicit address and its prefix may lie outside the pool.
  if (pool6?.family === 6 && vhost['explicit-ipv6'] === '' && perClient <= pool6.prefix)
    add('ipv6-subnet-prefix', `${perClient} is not longer than that of ${text6}`);
  return problems;
}

function isPool(network: Network | null, family: 4 | 6): network is Network {
  return network?.family === family && network.prefix <= MAX_POOL_PREFIX[family];
}

function channelProblems(vhost: VhostConfig): Problem[] {
  const problems: Problem[] = [];
  const tls = mapPriority(vhost['tls-priorities']);
  if (typeof tls === 'string') problems.push({ option: 'tls-priorities', problem: tls });
  if (vhost['match-tls-dtls-ciphers'] && vhost['dtls-legacy']) {
    const why = 'cannot be used with dtls-legacy, which has ciphers of its own; set dtls-legacy to false';
    problems.push({ option: 'match-tls-dtls-ciphers', problem: why });
  }
  if (vhost['cisco-svc-client-compat'] && vhost['udp-port'] !== 443) {
    const problem = `needs udp-port 443, not ${vhost['udp-port']}`;
    problems.push({ option: 'cisco-svc-client-compat', problem });
  }
  return problems;
}

function camouflageProblems(vhost: VhostConfig): Problem[] {
  return vhost.camouflage && vhost.camouflage_secret === ''
    ? [{ option: 'camouflage_secret', problem: 'is missing: camouflage needs it' }]
    : [];
}

/** Checks of the virtual hosts against each other: pools are the same or apart. `vhost` is the one to blame. */
export function checkServer(config: ServerConfig): (Problem & { readonly vhost: string })[] {
  const problems: (Problem & { vhost: string })[] = [];
  const seen: { vhost: string; pool: Network }[] = [];
  for (const vhost of [config.default, ...config.vhosts.values()]) {
    for (const option of ['ipv4-network', 'ipv6-network'] as const) {
      const pool = vhost[option] ? parseNetwork(vhost[option], poolMask(vhost, option)) : null;
      if (!pool) continue;
      const other = seen.find((earlier) => overlapButDiffer(earlier.pool, pool));
      if (other) {
        const problem = `${pool.address}/${pool.prefix} overlaps with ${other.pool.address}/${other.pool.prefix} of ${other.vhost}`;
        problems.push({ vhost: vhost.name, option, problem });
      }
      seen.push({ vhost: `vhost ${vhost.name}`, pool });
    }
  }
  return problems;
}

const poolMask = (vhost: VhostConfig, option: OptionName): string =>
  option === 'ipv4-network' ? vhost['ipv4-netmask'] : '';

function overlapButDiffer(a: Network, b: Network): boolean {
  if (a.family !== b.family || (a.address === b.address && a.prefix === b.prefix)) return false;
  const [wide, narrow] = a.prefix <= b.prefix ? [a, b] : [b, a];
  return ipaddr.parse(narrow.address).match([ipaddr.parse(wide.address), wide.prefix] as never);
}

/** What is allowed and probably not meant. */
export function noticesOf(vhost: VhostConfig): Problem[] {
  const notices: Problem[] = [];
  const add = (option: OptionName, problem: string): void => void notices.push({ option, problem });
  for (const option of ['route', 'no-route'] as const) {
    for (const route of vhost[option]) {
      const network = parseNetwork(route);
      if (network?.hadHostBits) add(option, `${route} is taken as ${network.address}/${network.prefix}`);
    }
  }
  const tls = mapPriority(vhost['tls-priorities']);
  if (typeof tls !== 'string') for (const warning of tls.warnings) add('tls-priorities', warning);
  for (const group of vhost['select-group']) {
    if (Buffer.byteLength(group) > 63)
      add('select-group', `"${group}" is longer than 63 bytes; clients may cut it`);
  }
  if (vhost['udp-port'] !== 0 && !vhost['dtls-psk'] && !vhost['dtls-legacy'])
    add('dtls-psk', 'is off like dtls-legacy: there will be no DTLS although udp-port is set');
  if (vhost['expose-iroutes'] && vhost['config-per-user'] === '')
    add('expose-iroutes', 'has no effect without config-per-user, where iroutes are given');
  const methods = [...vhost.auth, ...vhost['enable-auth']].map(parseAuthMethod).filter(isMethod);
  const byCertificate = methods.some(({ name }) => name === 'certificate');
  for (const option of [
    'always-require-cert',
    'ca-cert',
    'crl',
    'cert-user-oid',
    'cert-group-oid',
  ] as const) {
    if (vhost[option] && !byCertificate)
      add(option, 'has no effect: neither auth nor enable-auth has certificate');
  }
  return notices;
}
