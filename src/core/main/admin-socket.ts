/**
 * A unix socket for the administrator: checks who asks (SO_PEERCRED), cuts the input into requests, writes answers.
 * One slow or silent client costs one descriptor for a few seconds and nothing else.
 */
import { chownSync } from 'node:fs';
import type { Logger } from '../log.js';
import { receiveFrom } from '../native/receive.js';
import { type NativeIo, type Poller, READABLE, WRITABLE } from '../native/types.js';

const ROOT = 0;
const MAX_CONNECTIONS = 16;
const IDLE_MS = 10_000;
const ROOT_MODE = 0o600;
const GROUP_MODE = 0o660;
/** What a listener to a stream may leave unread. Events begin with a line for each client that is there. */
const MAX_QUEUED = 16 << 20;

export type AdminIo = Pick<
  NativeIo,
  | 'listenUnix'
  | 'accept'
  | 'peerCredentials'
  | 'peerGroups'
  | 'createPoller'
  | 'receiveMessage'
  | 'sendMessage'
  | 'close'
>;

/** The client as a protocol sees it. */
export interface AdminPeer {
  /** From now on lines are pushed until the client closes; `onClose` is called then. */
  stream(onClose: () => void): void;
  push(data: Buffer): void;
}

export interface AdminProtocol {
  /** Largest request in bytes. */
  readonly maxRequest: number;
  /** Length of the first complete request in `input`, 0 when more is needed. Throws to close the connection. */
  requestLength(input: Buffer): number;
  /** The answer. Must not reject. */
  answer(request: Buffer, peer: AdminPeer): Promise<Buffer>;
}

export interface AdminSocketOptions {
  readonly io: AdminIo;
  readonly path: string;
  /** Group whose members are answered as root is; null: root alone. */
  readonly gid: number | null;
  readonly log: Logger;
  readonly protocol: AdminProtocol;
}

export class AdminSocket {
  readonly #options: AdminSocketOptions;
  readonly #connections = new Set<AdminConnection>();
  readonly #fd: number;
  readonly #poller: Poller;

  /** Listens at once. The caller has made sure that the path is free, and removes it after close(). */
  constructor(options: AdminSocketOptions) {
    this.#options = options;
    const { io, path, gid } = options;
    this.#fd = io.listenUnix(path, gid === null ? ROOT_MODE : GROUP_MODE);
    if (gid !== null) chownSync(path, ROOT, gid);
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
    const { io, log, protocol } = this.#options;
    const { uid, gid, pid } = io.peerCredentials(fd);
    const allowed = uid === ROOT || this.#isMember(fd, gid);
    if (!allowed || this.#connections.size >= MAX_CONNECTIONS) {
      log.warn(
        { uid, peer: pid },
        allowed
          ? 'too many control connections'
          : 'control connection refused: neither root nor in control-group',
      );
      io.close(fd);
      return;
    }
    if (uid !== ROOT) log.info({ uid, peer: pid }, 'control connection by a member of control-group');
    const connection: AdminConnection = new AdminConnection(io, fd, protocol, () =>
      this.#connections.delete(connection),
    );
    this.#connections.add(connection);
  }

  #isMember(fd: number, primary: number): boolean {
    const { io, gid } = this.#options;
    return gid !== null && (primary === gid || io.peerGroups(fd).includes(gid));
  }
}

class AdminConnection implements AdminPeer {
  readonly #io: AdminIo;
  readonly #fd: number;
  readonly #protocol: AdminProtocol;
  readonly #closed: () => void;
  readonly #poller: Poller;
  readonly #timer: NodeJS.Timeout;
  #input = Buffer.alloc(0);
  #output: Buffer[] = [];
  #outputBytes = 0;
  #busy = false;
  #streamClosed: (() => void) | null = null;
  #open = true;

  constructor(io: AdminIo, fd: number, protocol: AdminProtocol, closed: () => void) {
    this.#io = io;
    this.#fd = fd;
    this.#protocol = protocol;
    this.#closed = closed;
    this.#timer = setTimeout(() => this.#onIdle(), IDLE_MS).unref();
    this.#poller = io.createPoller(fd, (ready) => this.#onEvents(ready));
    this.#poller.set(READABLE);
  }

  stream(onClose: () => void): void {
    if (this.#open) this.#streamClosed = onClose;
    else onClose();
  }

  push(data: Buffer): void {
    if (!this.#open) return;
    const waits = this.#outputBytes > 0;
    this.#output.push(data);
    this.#outputBytes += data.length;
    // An answer is as long as it is: there is one at a time. A stream goes on whether it is read or not.
    if (this.#streamClosed !== null && this.#outputBytes > MAX_QUEUED) this.close();
    else if (!waits) this.#guarded(() => this.#flush());
  }

  close(): void {
    if (!this.#open) return;
    this.#open = false;
    clearTimeout(this.#timer);
    this.#poller.close();
    this.#io.close(this.#fd);
    this.#closed();
    this.#streamClosed?.();
  }

  #onIdle(): void {
    if (this.#busy || this.#streamClosed !== null) this.#timer.refresh();
    else this.close();
  }

  #onEvents(ready: number): void {
    this.#guarded(() => {
      if (ready & WRITABLE) this.#flush();
      if (this.#open && ready & READABLE) this.#read();
    });
  }

  #guarded(task: () => void): void {
    try {
      task();
    } catch {
      // The peer is gone or talks nonsense; there is nobody to tell.
      this.close();
    }
  }

  #read(): void {
    const message = receiveFrom(this.#io, this.#fd, this.#protocol.maxRequest);
    if (message === null) return;
    for (const fd of message.fds) this.#io.close(fd);
    if (message.data.length === 0) {
      this.close();
      return;
    }
    this.#input = Buffer.concat([this.#input, message.data]);
    this.#timer.refresh();
    this.#next();
    if (this.#input.length > this.#protocol.maxRequest) this.close();
  }

  /** Takes the next request if none is being answered and no answer waits to be taken: memory stays bounded. */
  #next(): void {
    if (!this.#open || this.#busy || this.#outputBytes > 0) return;
    const length = this.#protocol.requestLength(this.#input);
    if (length === 0) return;
    const request = this.#input.subarray(0, length);
    this.#input = this.#input.subarray(length);
    this.#busy = true;
    void this.#protocol.answer(request, this).then((answer) => {
      this.#busy = false;
      if (answer.length > 0) this.push(answer);
      this.#guarded(() => this.#next());
    });
  }

  #flush(): void {
    for (let [first] = this.#output; first !== undefined; [first] = this.#output) {
      const sent = this.#io.sendMessage(this.#fd, first, []);
      this.#outputBytes -= sent;
      if (sent < first.length) {
        // A view of the rest: an answer of megabytes goes out in many parts.
        this.#output[0] = first.subarray(sent);
        break;
      }
      this.#output.shift();
    }
    this.#poller.set(this.#outputBytes === 0 ? READABLE : WRITABLE);
    this.#next();
  }
}
