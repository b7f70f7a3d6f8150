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
  OCS_CONFIG: { fatalFor: 'process', say: '{detail}', mend: 'Correct the configuration and try again.' },
} as const satisfies Record<string, CatalogueEntry>;

export type ErrorCode = keyof typeof catalogue;
export type ErrorDetails = Readonly<Record<string, string | number>>;

/** A failure from the catalogue. `message` is the whole sentence with its remedy. */
export class VpnError extends Error {
  readonly code: ErrorCode;
  readonly details: ErrorDetails;

  constructor(code: ErrorCode, details: ErrorDetails = {}, options?: ErrorOptions) {
    const { say, mend } = catalogue[code];
    super(`${fill(say, details)} ${mend}`, options);
    this.name = 'VpnError';
    this.code = code;
    this.details = details;
  }

  get fatalFor(): FatalFor {
    return catalogue[this.code].fatalFor;
  }
}

function fill(template: string, details: ErrorDetails): string {
  return template.replaceAll(/\{(\w+)\}/g, (_, name: string) => String(details[name] ?? '?'));
}
