/**
 * The error catalogue: every failure that a user can meet, once. `say` is one sentence that names what
 * happened, `mend` one that says what to do.
 */
export type FatalFor = 'request' | 'client' | 'process';

interface CatalogueEntry {
  readonly fatalFor: FatalFor;
  readonly say: string;
  readonly mend: string;
}

/** {name} is replaced from the details. */
export const catalogue = {
  OCS_NOT_ROOT: {
    fatalFor: 'process',
    say: 'The server needs root (CAP_NET_ADMIN) to create tun devices.',
    mend: 'Start it with sudo, or as a service.',
  },
  OCS_NO_TUN: {
    fatalFor: 'process',
    say: '/dev/net/tun cannot be opened: {reason}.',
    mend: 'Load the module with "modprobe tun", or give the container the device /dev/net/tun.',
  },
  OCS_PORT_IN_USE: {
    fatalFor: 'process',
    say: '{protocol} port {port} on {address} is already in use.',
    mend: 'Stop the other server or choose another port with --port.',
  },
  OCS_LISTEN: {
    fatalFor: 'process',
    say: '{protocol} port {port} on {address} cannot be opened: {reason}.',
    mend: 'Check listen-host and udp-listen-host.',
  },
  OCS_PORT_RIGHTS: {
    fatalFor: 'process',
    say: '{protocol} port {port} on {address} cannot be opened: permission denied.',
    mend: 'Start it as root; ports below 1024 need CAP_NET_BIND_SERVICE.',
  },
  OCS_PASSED_SOCKET: {
    fatalFor: 'process',
    say: 'Descriptor {fd} ({name}) from the service manager cannot be used: {reason}.',
    mend: 'Pass listening TCP sockets and UDP sockets only, e.g. with ListenStream= and ListenDatagram= of systemd.',
  },
  OCS_PASSED_PORT: {
    fatalFor: 'request',
    say: 'The {protocol} socket {name} from the service manager has port {port}, but {option} is {wanted}, and that is told to clients.',
    mend: 'Give both the same port, unless something in front of the server translates it.',
  },
  OCS_METRICS: {
    fatalFor: 'process',
    say: 'The metrics cannot be served at {address}: {reason}.',
    mend: 'Choose another address with metrics-listen.',
  },
  OCS_NO_IPV6: {
    fatalFor: 'request',
    say: 'This machine has no IPv6; listening on IPv4 only.',
    mend: 'Set listen-host to an IPv4 address to silence this notice.',
  },
  OCS_TUNNEL_IPV6: {
    fatalFor: 'request',
    say: 'IPv6 is turned off on this machine; clients get IPv4 addresses only.',
    mend: 'Turn it on with "sysctl -w net.ipv6.conf.default.disable_ipv6=0" and start the server again, or leave ipv6-network out.',
  },
  OCS_NO_NFT: {
    fatalFor: 'request',
    say: 'Forwarding and NAT are off: {reason}.',
    mend: 'Install nftables ("apt-get install nftables"), or set up NAT yourself and set "nat" to false.',
  },
  OCS_FORWARDING: {
    fatalFor: 'request',
    say: 'The kernel does not forward as "nat" needs it, and its switches cannot be written here: {settings}.',
    mend: 'Set them from outside: "--sysctl" of podman and docker, or sysctl(8) on the machine.',
  },
  OCS_FORWARD_DROPPED: {
    fatalFor: 'request',
    say: "This machine's firewall drops forwarded packets ({chains}).",
    mend: 'Allow forwarding from and to the interfaces {device} there.',
  },
  OCS_RUN_DIR: {
    fatalFor: 'process',
    say: 'The run directory {path} cannot be used: {reason}.',
    mend: 'Choose another one with --run-dir.',
  },
  OCS_RUN_DIR_HIDDEN: {
    fatalFor: 'request',
    say: 'Only root can enter {path}, so workers would not find secmod again after a restart of it.',
    mend: 'Choose a run directory that others can pass through, e.g. /run/vpn.',
  },
  OCS_RUN_DIR_IN_USE: {
    fatalFor: 'process',
    say: 'Another server (process {pid}) uses the run directory {path}.',
    mend: 'Stop it with "vpn ctl stop --run-dir {path}", or choose another directory with --run-dir.',
  },
  OCS_DATA_DIR: {
    fatalFor: 'process',
    say: 'The data directory {path} cannot be used: {reason}.',
    mend: 'Make it writable for root, or choose another one with --data-dir or VPN_DATA_DIR.',
  },
  OCS_DATA_DIR_IN_USE: {
    fatalFor: 'process',
    say: 'Another server (process {pid}) uses the data directory {path}.',
    mend: 'Stop it, or choose another directory with --data-dir or VPN_DATA_DIR.',
  },
  OCS_RUN_AS: {
    fatalFor: 'process',
    say: 'There is no {kind} "{name}" on this machine.',
    mend: 'Correct run-as-user, run-as-group and control-group.',
  },
  OCS_SECMOD_START: {
    fatalFor: 'process',
    say: 'The secmod process did not start: {detail}.',
    mend: 'Its own message is above.',
  },
  OCS_SECMOD_ABSENT: {
    fatalFor: 'process',
    say: 'No secmod process answers at {path}.',
    mend: 'Start it with "vpn secmod", or leave --no-secmod out.',
  },
  OCS_WORKER_START: {
    fatalFor: 'process',
    say: 'The worker processes do not start: {detail}.',
    mend: 'Their own messages are above.',
  },
  OCS_RELOAD: {
    fatalFor: 'request',
    say: 'The configuration was not reloaded and the old one stays in force: {detail}',
    mend: 'Correct the configuration and reload again.',
  },
  OCS_RELOAD_FIXED: {
    fatalFor: 'request',
    say: 'These changed options keep their old values until a restart: {options}.',
    mend: 'Restart the server to apply them.',
  },
  OCS_NETNS: {
    fatalFor: 'process',
    say: 'The network namespace {name} cannot be entered: {reason}.',
    mend: 'Create it with "ip netns add {name}", or correct listen-netns.',
  },
  OCS_CTL_UNREACHABLE: {
    fatalFor: 'request',
    say: 'No server answers at {path}: {reason}.',
    mend: 'Start it with "vpn serve", or name its run directory with --run-dir.',
  },
  OCS_CTL_DENIED: {
    fatalFor: 'request',
    say: 'The control socket {path} is for root and the members of control-group only.',
    mend: 'Use sudo, or become a member of that group.',
  },
  OCS_CTL_REQUEST: {
    fatalFor: 'request',
    say: 'The control request was refused: {detail}.',
    mend: 'Client and server may be of different versions.',
  },
  OCS_CTL_NOT_FOUND: {
    fatalFor: 'request',
    say: '{what} not found.',
    mend: 'See "vpn ctl show {list}".',
  },
  OCS_HISTORY: {
    fatalFor: 'request',
    say: 'The history of sessions {path} cannot be used: {reason}.',
    mend: 'Check history-file and --data-dir; with history-days 0 none is kept.',
  },
  OCS_HISTORY_TIME: {
    fatalFor: 'request',
    say: '"{text}" is no time.',
    mend: 'Write a date like 2026-11-22, a date and time like "2026-11-22 14:30", or an age like 90m, 24h, 7d, 2w.',
  },
  OCS_CTL_AMBIGUOUS: {
    fatalFor: 'request',
    say: 'More than one session starts with {id}: {found}.',
    mend: 'Give more of its id.',
  },
  OCS_IPC_VIOLATION: {
    fatalFor: 'client',
    say: 'The {peer} process broke the protocol: {detail}.',
    mend: 'Its connection was closed; report this as a bug with the log.',
  },
  OCS_IPC_TIMEOUT: {
    fatalFor: 'request',
    say: 'The {peer} process did not answer {message} within {milliseconds} ms.',
    mend: 'See the log of that process.',
  },
  OCS_IPC_CLOSED: {
    fatalFor: 'request',
    say: 'The connection to the {peer} process closed.',
    mend: 'See the log of that process.',
  },
  OCS_WORKER_ARGUMENTS: {
    fatalFor: 'process',
    say: 'vpn worker: {detail}.',
    mend: 'Usage: vpn worker --main PATH [--fd N] [--log-level N].',
  },
  OCS_LOCKDOWN: {
    fatalFor: 'process',
    say: 'The process could not give its rights up (stage {stage}): {reason}.',
    mend: 'Check that the kernel has seccomp and that run-as-user is not root; "isolate-workers: false" leaves Landlock and the system call filter out.',
  },
  OCS_WORKER_CERTIFICATE: {
    fatalFor: 'process',
    say: 'secmod has no certificate for virtual host {vhost}.',
    mend: 'Set server-cert and server-key for it.',
  },
  OCS_IPC_BUSY: {
    fatalFor: 'request',
    say: 'The {peer} process has not answered {count} requests yet.',
    mend: 'See the log of that process.',
  },
  OCS_IPC_CONNECT: {
    fatalFor: 'process',
    say: 'The {peer} process cannot be reached at {path}: {reason}.',
    mend: 'Check that it runs and that this user may open its socket.',
  },
  OCS_IPC_IN_USE: {
    fatalFor: 'process',
    say: 'Another server answers on {path}.',
    mend: 'Stop it, or choose another directory with --run-dir.',
  },
  OCS_IPC_LISTEN: {
    fatalFor: 'process',
    say: 'The socket {path} cannot be created: {reason}.',
    mend: 'Check that its directory exists and is writable and that the path is shorter than 108 bytes.',
  },
  OCS_NO_ADDON: {
    fatalFor: 'process',
    say: 'The native addon {path} cannot be loaded: {reason}.',
    mend: 'Build it with "npm run build", or start the server with "npm start", which does.',
  },
  OCS_CONFIG: { fatalFor: 'process', say: '{detail}.', mend: 'Correct the configuration and try again.' },
  OCS_FILE: {
    fatalFor: 'process',
    say: 'The {what} {path} cannot be used: {reason}.',
    mend: 'Check that the file exists, that its name is right and that it may be read and written.',
  },
  OCS_USER_FILE: {
    fatalFor: 'client',
    say: 'The configuration of the session cannot be taken from {path}: {detail}.',
    mend: 'Correct the file of the user or group; it is read again at the next connection.',
  },
  OCS_KEY_COUNT: {
    fatalFor: 'process',
    say: 'Virtual host {vhost} has {certs} server-cert and {keys} server-key.',
    mend: 'Give every certificate its private key, in the same order.',
  },
  OCS_KEY_MISMATCH: {
    fatalFor: 'process',
    say: 'The private key {key} does not belong to the certificate {cert}.',
    mend: 'Give server-cert and server-key in the same order.',
  },
  OCS_KEY_TYPE: {
    fatalFor: 'process',
    say: 'The private key {key} is of the type {type}, which cannot be used for TLS here.',
    mend: 'Use an RSA key of at least 2048 bits, an EC key on P-256, P-384 or P-521, or an Ed25519 key.',
  },
  OCS_PLUGIN: {
    fatalFor: 'process',
    say: 'The plugin {plugin} cannot be loaded: {reason}.',
    mend: 'Install or build it again, or take it off the server with "vpn plugins unlink" or "vpn plugins uninstall".',
  },
  OCS_PLUGIN_ABSENT: {
    fatalFor: 'request',
    say: 'There is no {how} plugin {plugin}.',
    mend: 'See "vpn plugins" for those that there are.',
  },
  OCS_PLUGIN_INSTALL: {
    fatalFor: 'request',
    say: 'The plugin {plugin} was not installed: {reason}.',
    mend: 'Give a tarball that "npm pack" made, a folder, or the name of a package of the npm registry.',
  },
  OCS_VHOST_UNKNOWN: {
    fatalFor: 'request',
    say: 'There is no virtual host {vhost}; there is: {known}.',
    mend: 'Name one of them with --vhost.',
  },
  OCS_PASSWD_LOCKED: {
    fatalFor: 'request',
    say: 'The password file {path} is locked: {lock} exists.',
    mend: 'Another program is changing it; if none is running, remove the lock file.',
  },
  OCS_USER_UNKNOWN: {
    fatalFor: 'request',
    say: 'There is no user {user} in {path}.',
    mend: 'See the names with "vpn passwd list".',
  },
  OCS_USER_NAME: {
    fatalFor: 'request',
    say: '{what} {name} cannot be stored: {reason}.',
    mend: 'Choose another name.',
  },
  OCS_CERT_EXISTS: {
    fatalFor: 'request',
    say: '{path} is there already, and nothing was written.',
    mend: 'Move it away, choose another name, or overwrite it with --force.',
  },
  OCS_CERT_NO_CA: {
    fatalFor: 'request',
    say: 'There is no certificate authority in {folder}.',
    mend: 'Make one with "vpn cert ca --dir {folder}", or name its folder with --dir.',
  },
  OCS_CERT: {
    fatalFor: 'request',
    say: '{what}: {reason}.',
    mend: 'Check what was given, and that the files belong together.',
  },
  OCS_NO_USER_NAME: {
    fatalFor: 'request',
    say: 'This login needs the name of a user.',
    mend: 'Give it behind "vpn auth test".',
  },
  OCS_USAGE: { fatalFor: 'request', say: '{detail}', mend: 'See "{help}".' },
  OCS_PASSWORD: { fatalFor: 'request', say: '{reason}.', mend: 'Give a password and try again.' },
} as const satisfies Record<string, CatalogueEntry>;

export type ErrorCode = keyof typeof catalogue;
export type ErrorDetails = Readonly<Record<string, string | number>>;

/** A failure from the catalogue. `message` is the whole sentence with its remedy. */
export class VpnError extends Error {
  readonly code: ErrorCode;
  readonly details: ErrorDetails;

  constructor(code: ErrorCode, details: ErrorDetails = {}, options?: ErrorOptions) {
    const { say, mend } = catalogue[code];
    const said = fill(say, details);
    // Below a list, the remedy is not the end of its last line.
    super(`${said}${said.includes('\n') ? '\n' : ' '}${fill(mend, details)}`, options);
    this.name = 'VpnError';
    this.code = code;
    this.details = details;
  }

  /** What happened. */
  get say(): string {
    return fill(catalogue[this.code].say, this.details);
  }

  /** What to do. */
  get mend(): string {
    return fill(catalogue[this.code].mend, this.details);
  }

  get fatalFor(): FatalFor {
    return catalogue[this.code].fatalFor;
  }
}

function fill(template: string, details: ErrorDetails): string {
  // A detail may end with a question ("did you mean …?").
  return template
    .replaceAll(/\{(\w+)\}/g, (_, name: string) => String(details[name] ?? '?'))
    .replaceAll('?.', '?');
}
