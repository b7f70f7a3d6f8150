/**
 * Every configuration option, once. Names are ocserv's. Types, defaults, validation, `vpn config` output, the
 * sample file, the man page and the docs table derive from this table.
 */

/** global: the server as a whole; vhost: may differ per virtual host; user: vhost plus per user and group. */
export type Scope = 'global' | 'vhost' | 'user';
/** Which processes need it; a worker is sent only what is marked 'worker'. */
export type Consumer = 'main' | 'secmod' | 'worker';

export interface OptionSpec<T = unknown> {
  readonly type: 'boolean' | 'number' | 'string' | 'list';
  readonly default: T;
  readonly scope: Scope;
  /** Changes with a reload; otherwise needs a restart. */
  readonly reloadable: boolean;
  readonly for: readonly Consumer[];
  /** Unit of a number, e.g. 'seconds', 'bytes/s'. */
  readonly unit?: string;
  readonly min?: number;
  readonly max?: number;
  readonly values?: readonly string[];
  readonly doc: string;
}

type Rest = Omit<OptionSpec, 'type' | 'default'>;
const text = (defaultValue: string, rest: Rest): OptionSpec<string> => ({
  type: 'string',
  default: defaultValue,
  ...rest,
});
const num = (defaultValue: number, rest: Rest): OptionSpec<number> => ({
  type: 'number',
  default: defaultValue,
  ...rest,
});
const flag = (defaultValue: boolean, rest: Rest): OptionSpec<boolean> => ({
  type: 'boolean',
  default: defaultValue,
  ...rest,
});
const many = (rest: Rest): OptionSpec<readonly string[]> => ({ type: 'list', default: [], ...rest });

const G = { scope: 'global', reloadable: true } as const;
const GN = { scope: 'global', reloadable: false } as const;
const V = { scope: 'vhost', reloadable: true } as const;
const VN = { scope: 'vhost', reloadable: false } as const;
const U = { scope: 'user', reloadable: true } as const;
const main = { for: ['main'] } as const;
const secmod = { for: ['secmod'] } as const;
const worker = { for: ['worker'] } as const;
const all = { for: ['main', 'secmod', 'worker'] } as const;
const mainWorker = { for: ['main', 'worker'] } as const;
const secmodWorker = { for: ['secmod', 'worker'] } as const;
const mainSecmod = { for: ['main', 'secmod'] } as const;

export const options = {
  // authentication, keys, process
  auth: many({
    ...VN,
    ...secmodWorker,
    doc: 'Primary authentication methods, all required, e.g. plain[passwd=/etc/ocserv/ocpasswd].',
  }),
  'listen-host': text('', {
    ...GN,
    ...main,
    doc: 'Address to bind for TCP and UDP; empty: all addresses, both families.',
  }),
  'udp-listen-host': text('', { ...GN, ...main, doc: 'Address to bind for UDP; empty: listen-host.' }),
  'tcp-port': num(443, { ...GN, ...main, min: 1, max: 65535, doc: 'TCP port.' }),
  'udp-port': num(443, { ...GN, ...main, min: 0, max: 65535, doc: 'DTLS port; 0 disables UDP.' }),
  'run-as-user': text('nobody', { ...GN, ...mainSecmod, doc: 'User that workers run as.' }),
  'run-as-group': text('nogroup', { ...GN, ...mainSecmod, doc: 'Group that workers run as.' }),
  'socket-file': text('', {
    ...GN,
    ...mainSecmod,
    doc: 'Path of the secmod socket; empty: below the run directory.',
  }),
  'occtl-socket-file': text('', {
    ...GN,
    ...main,
    doc: 'Socket for the occtl program (with use-occtl); empty: /var/run/occtl.socket.',
  }),
  'use-occtl': flag(false, { ...GN, ...main, doc: 'Answer the occtl program on occtl-socket-file.' }),
  'pid-file': text('', { ...GN, ...main, doc: 'File for the process id of the server.' }),
  'listen-netns': text('', {
    ...GN,
    ...main,
    doc: 'Network namespace (a name of "ip netns") of the TCP and UDP sockets.',
  }),
  'server-cert': many({ ...VN, ...secmod, doc: 'Certificate chain file; several for RSA and ECDSA.' }),
  'server-key': many({ ...VN, ...secmod, doc: 'Matching private key file.' }),
  'log-level': num(2, {
    ...GN,
    ...all,
    min: 0,
    max: 9,
    doc: '0 and 1 basic, 2 info, 3 debug, 4 and above trace.',
  }),
  'worker-clients': num(1, {
    ...GN,
    ...mainWorker,
    min: 1,
    max: 65535,
    doc: 'Clients served by one worker process; 1 isolates each client.',
  }),
  'spare-workers': num(2, {
    ...GN,
    ...main,
    min: 0,
    max: 64,
    doc: 'Workers kept warm for the next connections.',
  }),
  // limits and timers
  'max-clients': num(0, { ...G, ...main, min: 0, doc: 'Connected clients at most, 0: 8192.' }),
  'max-pending-per-address': num(64, {
    ...G,
    ...main,
    min: 0,
    doc: 'Connections of one address (IPv6: /64) that have no tunnel yet, 0: no limit.',
  }),
  'rate-limit-ms': num(0, {
    ...G,
    ...main,
    min: 0,
    unit: 'milliseconds',
    doc: 'Pause between accepted connections while others wait for a worker.',
  }),
  'listen-proxy-proto': flag(false, {
    ...G,
    ...main,
    doc: 'A PROXY header (v1 or v2) starts each connection.',
  }),
  'max-same-clients': num(0, { ...U, ...mainSecmod, min: 0, doc: 'Sessions per user, 0: no limit.' }),
  'auth-timeout': num(240, {
    ...G,
    ...all,
    min: 1,
    unit: 'seconds',
    doc: 'Time allowed before a login completes.',
  }),
  'cookie-timeout': num(300, {
    ...V,
    ...secmodWorker,
    min: 1,
    unit: 'seconds',
    doc: 'How long a session can be resumed after its tunnel ended.',
  }),
  'persistent-cookies': flag(false, { ...V, ...secmod, doc: 'The cookie survives an explicit disconnect.' }),
  'idle-timeout': num(0, {
    ...U,
    ...secmod,
    min: 0,
    unit: 'seconds',
    doc: 'Disconnect after this time without data, 0: never.',
  }),
  'mobile-idle-timeout': num(0, {
    ...U,
    ...secmod,
    min: 0,
    unit: 'seconds',
    doc: 'The same for mobile clients, 0: idle-timeout.',
  }),
  'session-timeout': num(0, {
    ...U,
    ...secmod,
    min: 0,
    unit: 'seconds',
    doc: 'Total session length since login, 0: none.',
  }),
  keepalive: num(32400, {
    ...U,
    ...secmod,
    min: 0,
    unit: 'seconds',
    doc: 'Keepalive interval of the client.',
  }),
  dpd: num(90, { ...U, ...secmod, min: 0, unit: 'seconds', doc: 'Dead peer detection, 0: off.' }),
  'mobile-dpd': num(1800, {
    ...U,
    ...secmod,
    min: 0,
    unit: 'seconds',
    doc: 'Dead peer detection of mobile clients.',
  }),
  'switch-to-tcp-timeout': num(25, {
    ...V,
    ...worker,
    min: 0,
    unit: 'seconds',
    doc: 'Send over TLS when UDP was silent that long, 0: never.',
  }),
  'stats-report-time': num(0, {
    ...U,
    ...secmod,
    min: 0,
    unit: 'seconds',
    doc: 'Interim statistics period, 0: only at the end.',
  }),
  'rekey-time': num(172800, { ...V, ...worker, min: 0, unit: 'seconds', doc: 'Rekey interval, 0: off.' }),
  'rekey-method': text('ssl', {
    ...V,
    ...worker,
    values: ['ssl', 'new-tunnel'],
    doc: 'ssl: in place; new-tunnel: the client connects again.',
  }),
  'deny-roaming': flag(false, { ...U, ...secmod, doc: 'The cookie is bound to the address of the login.' }),
  'server-drain-ms': num(0, {
    ...G,
    ...main,
    min: 0,
    unit: 'milliseconds',
    doc: 'Wait before ending sessions on shutdown.',
  }),
  'server-stats-reset-time': num(604800, {
    ...GN,
    ...main,
    min: 0,
    unit: 'seconds',
    doc: 'The current period of the statistics starts again after this time, 0: never.',
  }),
  // scripts
  'connect-script': text('', {
    ...G,
    ...main,
    doc: 'Run when a session opens; any exit status but 0 refuses it.',
  }),
  'disconnect-script': text('', { ...G, ...main, doc: 'Run when a session has ended.' }),
  'host-update-script': text('', { ...G, ...main, doc: 'Run when the host name of a client is known.' }),
  'script-timeout': num(60, {
    ...G,
    ...main,
    min: 1,
    unit: 'seconds',
    doc: 'A script that runs longer is killed and counts as failed.',
  }),
  'route-add-cmd': text('', {
    ...G,
    ...main,
    doc: 'Command that adds an iroute: %{R} net/mask, %{RI} net/prefix, %{D} device; empty: ip route.',
  }),
  'route-del-cmd': text('', {
    ...G,
    ...main,
    doc: 'Command that removes an iroute; it goes with its device.',
  }),
  // TLS, DTLS
  'dtls-psk': flag(true, { ...G, ...worker, doc: 'PSK-NEGOTIATE.' }),
  'dtls-legacy': flag(true, { ...V, ...worker, doc: 'DTLS by X-DTLS-Master-Secret, for Cisco clients.' }),
  'no-udp': flag(false, { ...U, ...secmod, doc: 'No DTLS.' }),
  mtu: num(0, {
    ...U,
    ...secmod,
    min: 0,
    max: 16384,
    unit: 'bytes',
    doc: 'Cap of the link MTU, 0: the device default.',
  }),
  'net-priority': num(0, {
    ...U,
    ...secmod,
    min: 0,
    doc: 'SO_PRIORITY 1..6, or 0x20 and above a TOS; 0: unset.',
  }),
  'rx-data-per-sec': num(0, {
    ...U,
    ...secmod,
    min: 0,
    unit: 'bytes/s',
    doc: 'Limit from the client, 0: none.',
  }),
  'tx-data-per-sec': num(0, {
    ...U,
    ...secmod,
    min: 0,
    unit: 'bytes/s',
    doc: 'Limit to the client, 0: none.',
  }),
  offload: flag(true, { ...G, ...all, doc: 'Use tun and UDP offloads where the kernel has them.' }),
  // bans
  'max-ban-score': num(80, {
    ...G,
    ...main,
    min: 0,
    doc: 'Points at which an address is refused, 0: no bans.',
  }),
  'ban-time': num(300, { ...G, ...main, min: 1, unit: 'seconds', doc: 'How long.' }),
  'ban-reset-time': num(1200, {
    ...G,
    ...main,
    min: 1,
    unit: 'seconds',
    doc: 'After this time points are forgotten.',
  }),
  'ban-points-wrong-password': num(10, { ...G, ...secmod, min: 0, doc: 'Points for a wrong password.' }),
  'ban-points-connection': num(1, { ...G, ...main, min: 0, doc: 'Points for a connection.' }),
  // network
  device: text('vpns', { ...G, ...main, doc: 'Prefix of tun device names.' }),
  'predictable-ips': flag(true, {
    ...V,
    ...secmod,
    doc: 'The same user gets the same address if it is free.',
  }),
  'ipv4-network': text('', { ...U, ...secmod, doc: 'Address pool, with prefix length or ipv4-netmask.' }),
  'ipv4-netmask': text('', { ...U, ...secmod, doc: 'Netmask of ipv4-network.' }),
  'ipv6-network': text('', { ...U, ...secmod, doc: 'Address pool with prefix length.' }),
  'ping-leases': flag(false, { ...G, ...main, doc: 'Lease no address that answers a ping.' }),
  'ipv6-subnet-prefix': num(128, {
    ...U,
    ...secmod,
    min: 1,
    max: 128,
    doc: 'Prefix length given to each client.',
  }),
  route: many({ ...U, ...secmod, doc: 'Networks behind the VPN; none or default: everything.' }),
  'no-route': many({ ...U, ...secmod, doc: 'Networks outside the VPN.' }),
  'restrict-user-to-routes': flag(false, {
    ...U,
    ...secmod,
    doc: 'Packets of the client to anything but its routes are rejected.',
  }),
  'restrict-user-to-ports': text('', {
    ...U,
    ...secmod,
    doc: 'Ports that the client may reach, e.g. tcp(443), udp(53), icmp(); with !(…) those it may not.',
  }),
  dns: many({ ...U, ...secmod, doc: 'DNS servers for the client.' }),
  nbns: many({ ...U, ...secmod, doc: 'WINS servers for the client.' }),
  'split-dns': many({ ...U, ...secmod, doc: 'Domains to resolve through the VPN.' }),
  'tunnel-all-dns': flag(false, { ...U, ...secmod, doc: 'All DNS through the VPN.' }),
  'client-bypass-protocol': flag(false, { ...U, ...secmod, doc: 'X-CSTP-Client-Bypass-Protocol.' }),
  'default-domain': text('', { ...V, ...secmod, doc: 'Search domains, separated by blanks.' }),
  nat: flag(false, {
    ...GN,
    ...main,
    doc: 'Forwarding and masquerading of the pools by an nftables table of our own, removed at exit.',
  }),
  // what users see
  banner: text('', { ...V, ...secmodWorker, doc: 'Shown after login, at most 256 bytes.' }),
  'pre-login-banner': text('', { ...V, ...worker, doc: 'Shown in the first form.' }),
  'select-group': many({ ...V, ...worker, doc: 'Groups to offer: group or group[Friendly name].' }),
  'default-select-group': text('', { ...V, ...worker, doc: 'The option that means no group.' }),
} as const satisfies Record<string, OptionSpec>;

export type OptionName = keyof typeof options;
export type OptionValue<N extends OptionName> = (typeof options)[N] extends OptionSpec<infer T> ? T : never;
/** One virtual host's options, all set. The default vhost's name is 'default'. */
export type VhostConfig = { readonly [N in OptionName]: OptionValue<N> } & { readonly name: string };
/** Global options are read from `default`; vhosts by SNI name. */
export interface ServerConfig {
  /** File that it came from, null for the embedded default. */
  readonly source: string | null;
  readonly default: VhostConfig;
  readonly vhosts: ReadonlyMap<string, VhostConfig>;
}
