/** The TCP and UDP sockets of the server. */
import { lookup } from 'node:dns/promises';
import { isIP } from 'node:net';
import type { VhostConfig } from '../config/schema.js';
import { type ErrorCode, VpnError } from '../errors.js';
import type { Logger } from '../log.js';
import {
  type Accepted,
  type NativeIo,
  type Poller,
  READABLE,
  type ReceivedDatagram,
} from '../native/types.js';
import type { PassedSocket, PassedSockets } from '../service/listen-fds.js';

const BACKLOG = 1024;
/**
 * Clients speak first. A connection that says nothing stays in the kernel, where it costs least, for so long (rounded to
 * repetitions of the SYN-ACK); what comes then without data waits in FirstBytes.
 */
const DEFER_ACCEPT_SEC = 7;
/** Work done for one wake-up, so that no socket starves the others. */
const BATCH = 64;
/** Pause after the process or the system ran out of descriptors or memory. */
const EXHAUSTED_PAUSE_MS = 250;
const EXHAUSTED = ['EMFILE', 'ENFILE', 'ENOBUFS', 'ENOMEM'];
/** The peer is gone before accept(2) returned; the next one may be fine. */
const TRANSIENT = ['ECONNABORTED', 'EINTR', 'EPROTO', 'ENETDOWN', 'EHOSTUNREACH', 'ENETUNREACH', 'EPERM'];
const LISTEN_FAILURES: Readonly<Record<string, ErrorCode>> = {
  EADDRINUSE: 'OCS_PORT_IN_USE',
  EACCES: 'OCS_PORT_RIGHTS',
};
const NO_FAMILY = ['EAFNOSUPPORT', 'EADDRNOTAVAIL', 'EPROTONOSUPPORT'];

export type ListenIo = Pick<
  NativeIo,
  'listenTcp' | 'deferAccept' | 'bindUdp' | 'accept' | 'receiveDatagram' | 'createPoller' | 'close'
>;

/** Literal addresses to bind: all of a host name's, or both wildcards for ''. */
export async function resolveHost(host: string): Promise<string[]> {
  if (host === '') return ['0.0.0.0', '::'];
  if (isIP(host) !== 0) return [host];
  try {
    const found = await lookup(host, { all: true });
    return [...new Set(found.map(({ address }) => address))];
  } catch (error) {
    throw new VpnError(
      'OCS_CONFIG',
      { detail: `listen-host "${host}" has no address: ${(error as Error).message}` },
      { cause: error },
    );
  }
}

export interface Bound {
  readonly fd: number;
  readonly address: string;
}

/**
 * Opens one socket per address. A wildcard of a family that the machine does not have is left out and named in
 * `missing`. Throws OCS_PORT_IN_USE, OCS_PORT_RIGHTS or OCS_LISTEN; sockets opened before are closed then.
 */
export function bindAll(
  io: ListenIo,
  protocol: 'TCP' | 'UDP',
  addresses: readonly string[],
  port: number,
): { bound: Bound[]; missing: string[] } {
  const bound: Bound[] = [];
  const missing: string[] = [];
  for (const address of addresses) {
    try {
      const fd = protocol === 'TCP' ? io.listenTcp(address, port, BACKLOG) : io.bindUdp(address, port);
      bound.push({ fd, address });
    } catch (error) {
      const code = (error as NodeJS.ErrnoException).code ?? '';
      if (address === '::' && NO_FAMILY.includes(code)) {
        missing.push(address);
        continue;
      }
      for (const { fd } of bound) io.close(fd);
      const details = { protocol, port, address, reason: (error as Error).message };
      throw new VpnError(LISTEN_FAILURES[code] ?? 'OCS_LISTEN', details, { cause: error });
    }
  }
  return { bound, missing };
}

export interface OpenedSockets {
  readonly tcp: readonly Bound[];
  readonly udp: readonly Bound[];
  readonly notices: readonly VpnError[];
}

/**
 * The sockets of the server: those that a service manager passed, else of its own, for TCP and UDP each. A passed
 * socket may have another port than the options say, which clients are told: that is a notice.
 * @throws VpnError OCS_PASSED_SOCKET for what was passed and is not wanted (`withTcp` false, udp-port 0); as bindAll
 */
export async function openSockets(
  io: ListenIo,
  options: VhostConfig,
  { passed, withTcp }: { readonly passed: PassedSockets; readonly withTcp: boolean },
): Promise<OpenedSockets> {
  const notices: VpnError[] = [];
  const missing = new Set<string>();
  const open = async (protocol: 'TCP' | 'UDP', given: readonly PassedSocket[], host: string) => {
    const option = protocol === 'TCP' ? 'tcp-port' : 'udp-port';
    const wanted = options[option];
    for (const { port, name } of given) {
      if (port !== wanted)
        notices.push(new VpnError('OCS_PASSED_PORT', { protocol, name, port, option, wanted }));
    }
    if (given.length > 0) return given;
    const opened = bindAll(io, protocol, await resolveHost(host), wanted);
    for (const address of opened.missing) missing.add(address);
    return opened.bound;
  };
  if (!withTcp) refuse(passed.tcp, 'with --no-workers the service manager accepts the connections itself');
  if (options['udp-port'] === 0) refuse(passed.udp, 'udp-port is 0');
  const udpHost = options['udp-listen-host'] === '' ? options['listen-host'] : options['udp-listen-host'];
  const tcp = withTcp ? await open('TCP', passed.tcp, options['listen-host']) : [];
  const udp = options['udp-port'] === 0 ? [] : await open('UDP', passed.udp, udpHost);
  for (const { fd } of tcp) io.deferAccept(fd, DEFER_ACCEPT_SEC);
  if (missing.size > 0) notices.push(new VpnError('OCS_NO_IPV6'));
  return { tcp, udp, notices };
}

function refuse([first]: readonly PassedSocket[], reason: string): void {
  if (first) throw new VpnError('OCS_PASSED_SOCKET', { fd: first.fd, name: first.name, reason });
}

/** Accepts connections while it is not paused. */
export class TcpListener {
  readonly #io: ListenIo;
  readonly #fd: number;
  readonly #log: Logger;
  readonly #onAccept: (accepted: Accepted) => void;
  readonly #poller: Poller;
  #timer: NodeJS.Timeout | null = null;
  #exhausted = false;
  #paused = true;

  /** Starts paused. Takes ownership of `fd`. */
  constructor(io: ListenIo, fd: number, log: Logger, onAccept: (accepted: Accepted) => void) {
    this.#io = io;
    this.#fd = fd;
    this.#log = log;
    this.#onAccept = onAccept;
    this.#poller = io.createPoller(fd, () => this.#acceptBatch());
    this.#poller.set(0);
  }

  /** Paused connections wait in the kernel's backlog. */
  setPaused(paused: boolean): void {
    this.#paused = paused;
    if (this.#timer === null) this.#poller.set(paused ? 0 : READABLE);
  }

  close(): void {
    if (this.#timer) clearTimeout(this.#timer);
    this.#timer = null;
    this.#paused = true;
    this.#poller.close();
    this.#io.close(this.#fd);
  }

  #acceptBatch(): void {
    for (let i = 0; i < BATCH && !this.#paused; i++) {
      let accepted: Accepted | null;
      try {
        accepted = this.#io.accept(this.#fd);
      } catch (error) {
        if (this.#failed(error as NodeJS.ErrnoException)) continue;
        return;
      }
      if (accepted === null) return;
      if (this.#exhausted) this.#log.info('accepting connections again');
      this.#exhausted = false;
      this.#onAccept(accepted);
    }
  }

  /** True to go on with the next connection. */
  #failed(error: NodeJS.ErrnoException): boolean {
    if (TRANSIENT.includes(error.code ?? '')) return true;
    if (!this.#exhausted) {
      const what = EXHAUSTED.includes(error.code ?? '') ? 'out of descriptors or memory' : 'accept failed';
      this.#log.error({ err: error }, `${what}; new connections wait`);
    }
    this.#exhausted = true;
    // The listening socket stays readable: polling on would spin.
    this.#poller.set(0);
    this.#timer = setTimeout(() => {
      this.#timer = null;
      this.setPaused(this.#paused);
    }, EXHAUSTED_PAUSE_MS);
    return false;
  }
}

/** Reads the unconnected UDP socket. */
export class UdpListener {
  readonly #io: ListenIo;
  readonly #fd: number;
  readonly #poller: Poller;

  /** Takes ownership of `fd`. */
  constructor(io: ListenIo, fd: number, log: Logger, onDatagram: (datagram: ReceivedDatagram) => void) {
    this.#io = io;
    this.#fd = fd;
    this.#poller = io.createPoller(fd, () => {
      for (let i = 0; i < BATCH; i++) {
        let datagram: ReceivedDatagram | null;
        try {
          datagram = io.receiveDatagram(fd);
        } catch (error) {
          // E.g. ECONNREFUSED queued by an ICMP error; the socket itself is fine.
          log.debug({ err: error }, 'datagram not received');
          return;
        }
        if (datagram === null) return;
        onDatagram(datagram);
      }
    });
    this.#poller.set(READABLE);
  }

  close(): void {
    this.#poller.close();
    this.#io.close(this.#fd);
  }
}
