/**
 * Reads the PROXY header of accepted connections (option listen-proxy-proto). It is done here and not in the worker,
 * so that bans and limits meet the client's own address before a worker is spent on it, and the worker cannot invent
 * one. Connections wait side by side, and none for long; not a byte behind the header is read.
 */
import type { Logger } from '../log.js';
import { receiveFrom } from '../native/receive.js';
import { type Accepted, type NativeIo, type Poller, READABLE } from '../native/types.js';
import { parseProxyHeader } from '../wire/proxy-protocol.js';

const TIME_LIMIT_MS = 5000;
/** Headers awaited at once; further connections are closed. */
const MAX_PENDING = 1024;
/** The shortest version 1 header, `PROXY UNKNOWN\r\n`; a version 2 header is longer. */
const SHORTEST = 15;
const V2_FIXED = 16;

export type ProxyIo = Pick<NativeIo, 'createPoller' | 'receiveMessage' | 'close'>;

export interface ProxyReaderOptions {
  readonly io: ProxyIo;
  readonly log: Logger;
  /** A connection whose addresses are known. */
  readonly onConnection: (accepted: Accepted) => void;
}

export class ProxyReader {
  readonly #options: ProxyReaderOptions;
  readonly #pending = new Set<PendingHeader>();

  constructor(options: ProxyReaderOptions) {
    this.#options = options;
  }

  /** Takes ownership of the descriptor. */
  read(accepted: Accepted): void {
    const { io, log, onConnection } = this.#options;
    if (this.#pending.size >= MAX_PENDING) {
      log.warn({ ip: accepted.remote.address }, 'too many connections without a PROXY header; closed');
      io.close(accepted.fd);
      return;
    }
    const pending: PendingHeader = new PendingHeader(io, accepted, (result) => {
      this.#pending.delete(pending);
      if (typeof result !== 'string') onConnection(result);
      else {
        log.info({ ip: accepted.remote.address, reason: result }, 'connection closed: no PROXY header');
        io.close(accepted.fd);
      }
    });
    this.#pending.add(pending);
  }

  close(): void {
    for (const pending of [...this.#pending]) pending.cancel('the server stops');
  }
}

class PendingHeader {
  readonly #io: ProxyIo;
  readonly #accepted: Accepted;
  readonly #done: (result: Accepted | string) => void;
  readonly #poller: Poller;
  readonly #timer: NodeJS.Timeout;
  #data = Buffer.alloc(0);
  #finished = false;

  constructor(io: ProxyIo, accepted: Accepted, done: (result: Accepted | string) => void) {
    this.#io = io;
    this.#accepted = accepted;
    this.#done = done;
    this.#timer = setTimeout(() => this.cancel('it did not come in time'), TIME_LIMIT_MS);
    this.#poller = io.createPoller(accepted.fd, () => this.#read());
    this.#poller.set(READABLE);
  }

  cancel(reason: string): void {
    this.#finish(reason);
  }

  #read(): void {
    try {
      while (!this.#finished && this.#readSome());
    } catch (error) {
      this.#finish((error as Error).message);
    }
  }

  /** False when nothing more has arrived. */
  #readSome(): boolean {
    const message = receiveFrom(this.#io, this.#accepted.fd, this.#missing());
    if (message === null) return false;
    if (message.data.length === 0) {
      this.#finish('the peer closed the connection');
      return false;
    }
    this.#data = Buffer.concat([this.#data, message.data]);
    const result = parseProxyHeader(this.#data);
    if (result.status === 'error') this.#finish(result.reason);
    if (result.status === 'done') {
      const { source: remote, destination: local } = result.addresses ?? {
        source: this.#accepted.remote,
        destination: this.#accepted.local,
      };
      this.#finish({ fd: this.#accepted.fd, remote, local });
    }
    return true;
  }

  /** Bytes that surely still belong to the header. */
  #missing(): number {
    const { length } = this.#data;
    if (length < SHORTEST) return SHORTEST - length;
    const version1 = this.#data[0] === 0x50;
    if (version1) return this.#data[length - 1] === 0x0d ? 1 : 2;
    return length < V2_FIXED ? V2_FIXED - length : V2_FIXED + this.#data.readUInt16BE(14) - length;
  }

  #finish(result: Accepted | string): void {
    if (this.#finished) return;
    this.#finished = true;
    clearTimeout(this.#timer);
    this.#poller.close();
    this.#done(result);
  }
}
