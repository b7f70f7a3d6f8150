/** IPC over unix sockets: `connectIpc` for the connecting end, `listenIpc` for the accepting one. */
import { lstatSync, unlinkSync } from 'node:fs';
import { VpnError } from '../errors.js';
import type { Logger } from '../log.js';
import { native } from '../native/index.js';
import { type PeerCredentials, READABLE } from '../native/types.js';
import type { Channel, ChannelOptions, IpcListener } from './api.js';
import { DEFAULT_TIMEOUT_MS, Endpoint } from './endpoint.js';
import { type Greeting, receiveHello } from './greeting.js';
import type { Role } from './messages.js';
import { IPC_VERSION } from './registry.js';
import { SocketTransport } from './socket-transport.js';

const { io } = native;

/** After a failure to accept (descriptors used up) the listener rests so long, milliseconds. */
const ACCEPT_PAUSE_MS = 200;

/** Connections of one process that are open at once; it needs one, and another while it connects anew. */
export const MAX_PER_PROCESS = 64;

/** Roles that connect to others. */
export type ConnectingRole = 'main' | 'worker';
export type AnyOptions<Self extends Role> = {
  [R in ConnectingRole]: ChannelOptions<Self, R>;
}[ConnectingRole];
export type AnyChannel<Self extends Role> = { [R in ConnectingRole]: Channel<Self, R> }[ConnectingRole];

export interface ListenOptions<Self extends Role> {
  readonly path: string;
  /** Permissions of the socket file, e.g. 0o600. */
  readonly mode: number;
  readonly self: Self;
  readonly log: Logger;
  /** Whether anybody with these credentials could be accepted; others are closed before they can say anything, so that
   * strangers who may open the socket cannot use up its descriptors. Default: everybody. */
  knows?(credentials: PeerCredentials): boolean;
  /** Decides by credentials and claimed role; null refuses. Role main is offered only with our uid or root. */
  accept(role: ConnectingRole, credentials: PeerCredentials): AnyOptions<Self> | null;
  /** Before the peer gets HELLO_REP, so before its first message. */
  onChannel(channel: AnyChannel<Self>): void;
}

/**
 * Connects, exchanges HELLO, resolves when the peer has answered.
 * @throws VpnError OCS_IPC_CONNECT; OCS_IPC_CLOSED when the peer refuses; OCS_IPC_TIMEOUT; OCS_IPC_VIOLATION
 */
export async function connectIpc<Self extends Role, Peer extends Role>(
  path: string,
  options: ChannelOptions<Self, Peer>,
): Promise<Channel<Self, Peer>> {
  if (options.self === 'secmod') throw new TypeError('secmod never connects');
  const fd = open(path, options.peer);
  let greeted = false;
  const { onClose } = options;
  const endpoint = new Endpoint<Self, Peer>(
    new SocketTransport(io, fd),
    io.peerCredentials(fd),
    // Before HELLO_REP there is no channel that could close: connectIpc itself reports the failure.
    { ...options, onClose: (channel, violation) => greeted && onClose?.(channel, violation) },
    false,
  );
  endpoint.start();
  try {
    const { version } = await endpoint.hello(options.self, IPC_VERSION, DEFAULT_TIMEOUT_MS);
    if (version !== IPC_VERSION) throw versionError(options.peer, version);
  } catch (error) {
    endpoint.abort();
    throw error;
  }
  greeted = true;
  return endpoint;
}

/**
 * Listens on `path`. A stale socket file is removed; one that a live server answers on is not.
 * @throws VpnError OCS_IPC_IN_USE, OCS_IPC_LISTEN
 */
export function listenIpc<Self extends Role>(options: ListenOptions<Self>): IpcListener {
  const { path, log } = options;
  removeStale(path);
  const fd = listen(path, options.mode);
  const { ino } = lstatSync(path);
  let resume: NodeJS.Timeout | null = null;
  const processes = new Processes();
  const poller = io.createPoller(fd, () => {
    try {
      acceptAll(fd, options, processes);
    } catch (error) {
      log.error({ err: error, path }, 'cannot accept ipc connections for a moment');
      poller.set(0);
      resume = setTimeout(() => poller.set(READABLE), ACCEPT_PAUSE_MS);
    }
  });
  poller.set(READABLE);
  let closed = false;
  const close = () => {
    if (closed) return;
    closed = true;
    if (resume) clearTimeout(resume);
    poller.close();
    io.close(fd);
    // Unless a successor has put its own file there.
    if (inodeOf(path) === ino) unlinkSync(path);
  };
  return { path, close };
}

function open(path: string, peer: Role): number {
  try {
    return io.connectUnix(path);
  } catch (error) {
    throw new VpnError('OCS_IPC_CONNECT', { peer, path, reason: (error as Error).message }, { cause: error });
  }
}

function listen(path: string, mode: number): number {
  try {
    return io.listenUnix(path, mode);
  } catch (error) {
    throw new VpnError('OCS_IPC_LISTEN', { path, reason: (error as Error).message }, { cause: error });
  }
}

function removeStale(path: string): void {
  const found = lstatSync(path, { throwIfNoEntry: false });
  if (!found) return;
  if (!found.isSocket())
    throw new VpnError('OCS_IPC_LISTEN', { path, reason: 'it exists and is not a socket' });
  try {
    io.close(io.connectUnix(path));
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    // Refused: the file is left over. Anything else (backlog full, no permission) is somebody's socket.
    if (code === 'ECONNREFUSED') {
      unlinkSync(path);
      return;
    }
  }
  throw new VpnError('OCS_IPC_IN_USE', { path });
}

function inodeOf(path: string): number | undefined {
  return lstatSync(path, { throwIfNoEntry: false })?.ino;
}

/** How many connections each process has: one that was taken over cannot use up the descriptors of the acceptor. */
class Processes {
  readonly #open = new Map<number, number>();

  /** False when it has its share. A process of another PID namespace has the number 0, as all of that have. */
  enter(pid: number): boolean {
    if (pid === 0) return true;
    const count = this.#open.get(pid) ?? 0;
    if (count >= MAX_PER_PROCESS) return false;
    this.#open.set(pid, count + 1);
    return true;
  }

  leave(pid: number): void {
    if (pid === 0) return;
    const count = (this.#open.get(pid) ?? 1) - 1;
    if (count === 0) this.#open.delete(pid);
    else this.#open.set(pid, count);
  }
}

function acceptAll<Self extends Role>(fd: number, options: ListenOptions<Self>, processes: Processes): void {
  for (let accepted = io.accept(fd); accepted; accepted = io.accept(fd))
    greet(accepted.fd, options, processes);
}

function greet<Self extends Role>(fd: number, options: ListenOptions<Self>, processes: Processes): void {
  const credentials = io.peerCredentials(fd);
  const { pid } = credentials;
  if (!processes.enter(pid)) {
    options.log.warn(
      { credentials, most: MAX_PER_PROCESS },
      'ipc connection of a process with too many closed',
    );
    io.close(fd);
    return;
  }
  const transport = new SocketTransport(io, fd, () => processes.leave(pid));
  if (options.knows?.(credentials) === false) {
    options.log.warn({ credentials }, 'ipc connection of a stranger closed');
    transport.destroy();
    return;
  }
  receiveHello(transport, (hello) => {
    if (hello instanceof Error) {
      options.log.warn({ credentials, err: hello }, 'ipc connection refused: no proper HELLO');
      return;
    }
    admit(transport, credentials, hello, options);
  });
}

function admit<Self extends Role>(
  transport: SocketTransport,
  credentials: PeerCredentials,
  hello: Greeting,
  options: ListenOptions<Self>,
): void {
  const refusal = refuse(hello, credentials);
  const channelOptions = refusal ? null : options.accept(hello.role, credentials);
  if (!channelOptions) {
    const reason = refusal ?? 'not accepted';
    options.log.warn({ credentials, role: hello.role, reason }, 'ipc connection refused');
    transport.destroy();
    return;
  }
  const endpoint = new Endpoint(
    transport,
    credentials,
    channelOptions as ChannelOptions<Self, ConnectingRole>,
    true,
  );
  options.onChannel(endpoint as unknown as AnyChannel<Self>);
  if (endpoint.closed) return;
  endpoint.welcome(hello.correlation, { version: IPC_VERSION, pid: process.pid });
  endpoint.start();
}

function refuse(hello: Greeting, credentials: PeerCredentials): string | null {
  if (hello.version !== IPC_VERSION) return versionError(hello.role, hello.version).message;
  const trusted = credentials.uid === 0 || credentials.uid === process.geteuid?.();
  return hello.role === 'main' && !trusted ? `uid ${credentials.uid} may not be main` : null;
}

function versionError(peer: Role, version: number): VpnError {
  return new VpnError('OCS_IPC_VIOLATION', {
    peer,
    detail: `it speaks version ${version}, not ${IPC_VERSION}`,
  });
}
