/**
 * The server's end of the control socket: checks who asks (SO_PEERCRED), reads lines, answers lines. One slow or
 * silent client costs one descriptor for a few seconds and nothing else.
 */
import {
  MAX_REQUEST,
  type ParsedRequest,
  PROTOCOL_VERSION,
  parseRequest,
  type VerbHandlers,
} from '../control/verbs.js';
import { VpnError } from '../errors.js';
import type { Logger } from '../log.js';
import { type NativeIo, type Poller, READABLE, WRITABLE } from '../native/types.js';

const MAX_CONNECTIONS = 16;
const IDLE_MS = 10_000;
const SOCKET_MODE = 0o600;

export type ControlIo = Pick<
  NativeIo,
  'listenUnix' | 'accept' | 'peerCredentials' | 'createPoller' | 'receiveMessage' | 'sendMessage' | 'close'
>;

export interface ControlServerOptions {
  readonly io: ControlIo;
  readonly path: string;
  readonly log: Logger;
  readonly handlers: VerbHandlers;
}

export class ControlServer {
  readonly #options: ControlServerOptions;
  readonly #connections = new Set<ControlConnection>();
  readonly #fd: number;
  readonly #poller: Poller;

  /** Listens at once. The caller has made sure that the path is free, and removes it after close(). */
  constructor(options: ControlServerOptions) {
    this.#options = options;
    this.#fd = options.io.listenUnix(options.path, SOCKET_MODE);
    this.#poller = options.io.createPoller(this.#fd, () => this.#accept());
    this.#poller.set(READABLE);
  }

  close(): void {
    this.#poller.close();
    this.#options.io.close(this.#fd);
    for (const connection of [...this.#connections]) connection.close();
  }

  #accept(): void {
    const { io, log } = this.#options;
    try {
      const accepted = io.accept(this.#fd);
      if (accepted === null) return;
      this.#serve(accepted.fd);
    } catch (error) {
      log.warn({ err: error }, 'control connection not accepted');
    }
  }

  #serve(fd: number): void {
    const { io, log } = this.#options;
    const { uid, pid } = io.peerCredentials(fd);
    if (uid !== 0 || this.#connections.size >= MAX_CONNECTIONS) {
      log.warn(
        { uid, peer: pid },
        uid === 0 ? 'too many control connections' : 'control connection refused: not root',
      );
      io.close(fd);
      return;
    }
    const connection: ControlConnection = new ControlConnection(io, fd, {
      request: (line) => this.#answer(line),
      closed: () => this.#connections.delete(connection),
    });
    this.#connections.add(connection);
  }

  #answer(line: string): string {
    const { handlers, log } = this.#options;
    let body: object;
    try {
      body = { ok: true, data: dispatch(handlers, parseRequest(line)) };
    } catch (error) {
      const known =
        error instanceof VpnError
          ? error
          : new VpnError('OCS_CTL_REQUEST', {
              detail: error instanceof RangeError ? error.message : 'internal error',
            });
      if (!(error instanceof VpnError || error instanceof RangeError))
        log.error({ err: error }, 'control request failed');
      const { code, details, message } = known;
      body = { ok: false, error: { code, details, message } };
    }
    return `${JSON.stringify({ v: PROTOCOL_VERSION, ...body })}\n`;
  }
}

/** The request's arguments fit its verb by construction (parseRequest). */
function dispatch(handlers: VerbHandlers, { verb, args }: ParsedRequest): unknown {
  const handler = handlers[verb] as (args: ParsedRequest['args']) => unknown;
  return handler(args);
}

interface ConnectionEvents {
  /** A request line; returns the answer with its line end. */
  request(line: string): string;
  closed(): void;
}

class ControlConnection {
  readonly #io: ControlIo;
  readonly #fd: number;
  readonly #events: ConnectionEvents;
  readonly #poller: Poller;
  readonly #timer: NodeJS.Timeout;
  #input = Buffer.alloc(0);
  #output = Buffer.alloc(0);
  #open = true;

  constructor(io: ControlIo, fd: number, events: ConnectionEvents) {
    this.#io = io;
    this.#fd = fd;
    this.#events = events;
    this.#timer = setTimeout(() => this.close(), IDLE_MS).unref();
    this.#poller = io.createPoller(fd, (ready) => this.#onEvents(ready));
    this.#poller.set(READABLE);
  }

  close(): void {
    if (!this.#open) return;
    this.#open = false;
    clearTimeout(this.#timer);
    this.#poller.close();
    this.#io.close(this.#fd);
    this.#events.closed();
  }

  #onEvents(ready: number): void {
    try {
      if (ready & WRITABLE) this.#flush();
      if (this.#open && ready & READABLE) this.#read();
    } catch {
      // The peer is gone; there is nobody to tell.
      this.close();
    }
  }

  #read(): void {
    const message = this.#io.receiveMessage(this.#fd, MAX_REQUEST);
    if (message === null) return;
    for (const fd of message.fds) this.#io.close(fd);
    if (message.data.length === 0) {
      this.close();
      return;
    }
    this.#input = Buffer.concat([this.#input, message.data]);
    this.#timer.refresh();
    for (let end = this.#input.indexOf(10); end >= 0; end = this.#input.indexOf(10)) {
      const line = this.#input.subarray(0, end).toString('utf8');
      this.#input = this.#input.subarray(end + 1);
      this.#output = Buffer.concat([this.#output, Buffer.from(this.#events.request(line))]);
    }
    if (this.#input.length > MAX_REQUEST) this.close();
    else this.#flush();
  }

  /** Requests are not read while an answer waits to be taken: memory stays bounded. */
  #flush(): void {
    const sent = this.#output.length === 0 ? 0 : this.#io.sendMessage(this.#fd, this.#output, []);
    this.#output = this.#output.subarray(sent);
    this.#poller.set(this.#output.length === 0 ? READABLE : WRITABLE);
  }
}
