/** Frames over a non-blocking unix stream socket, descriptors by SCM_RIGHTS. */
import { LOST_FDS, type NativeIo, type Poller, READABLE, WRITABLE } from '../native/types.js';
import { LATER_MS, type Transport, type TransportEvents } from './transport.js';

const READ_BYTES = 64 * 1024;
/** What was received, until it has been handled: one for all connections of the process. */
const room = Buffer.alloc(READ_BYTES);
/** Larger ones are not worth the copy. */
const MAX_JOINED_BYTES = 16 * 1024;
/** Reads per event: one busy peer must not starve the loop; the poller is level-triggered and calls again. */
const READS_PER_EVENT = 8;
/** A closing channel waits so long for its peer to take the rest, milliseconds. */
const CLOSE_LINGER_MS = 2000;

/** One frame, or several that carry no descriptors. */
interface Outgoing {
  readonly frame: Buffer;
  offset: number;
  fds: readonly number[];
}

export class SocketTransport implements Transport {
  readonly #io: NativeIo;
  readonly #fd: number;
  readonly #poller: Poller;
  readonly #onClosed: () => void;
  #events: TransportEvents | null = null;
  #queue: Outgoing[] = [];
  #queuedBytes = 0;
  #writable = true;
  #closed = false;
  /** The peer has to read before more can be written. */
  #blocked = false;
  /** What the poller looks for. */
  #watched = 0;
  #later: NodeJS.Timeout | null = null;
  #linger: NodeJS.Timeout | null = null;

  /** Takes ownership of `fd`; `onClosed` is called once, when it is closed. */
  constructor(io: NativeIo, fd: number, onClosed: () => void = () => {}) {
    this.#onClosed = onClosed;
    this.#io = io;
    this.#fd = fd;
    this.#poller = io.createPoller(fd, (events) => this.#onEvents(events));
  }

  start(events: TransportEvents): void {
    this.#events = events;
    this.#watch();
  }

  get queuedBytes(): number {
    return this.#queuedBytes;
  }

  send(frame: Buffer, fds: readonly number[]): void {
    if (this.#enqueue(frame, fds) && !this.#blocked) this.#flush();
  }

  sendLater(frame: Buffer): void {
    if (!this.#enqueue(frame, [])) return;
    this.#later ??= setTimeout(() => this.#flush(), LATER_MS).unref();
  }

  /** False when it was dropped. */
  #enqueue(frame: Buffer, fds: readonly number[]): boolean {
    const outgoing = { frame, offset: 0, fds };
    if (this.#closed || !this.#writable) {
      this.#drop(outgoing);
      return false;
    }
    this.#queue.push(outgoing);
    this.#queuedBytes += frame.length;
    return true;
  }

  close(): void {
    if (this.#closed || this.#linger) return;
    this.#events = null;
    if (this.#queue.length === 0) {
      this.destroy();
      return;
    }
    this.#linger = setTimeout(() => this.destroy(), CLOSE_LINGER_MS);
    this.#linger.unref();
    this.#flush();
  }

  destroy(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#events = null;
    if (this.#linger) clearTimeout(this.#linger);
    this.#forgetLater();
    this.#dropQueue();
    this.#poller.close();
    this.#io.close(this.#fd);
    this.#onClosed();
  }

  closeFd(fd: number): void {
    this.#io.close(fd);
  }

  #onEvents(events: number): void {
    if (events & WRITABLE) this.#flush();
    if (events & READABLE) this.#read();
  }

  #watch(): void {
    if (this.#closed) return;
    const wanted = (this.#events ? READABLE : 0) | (this.#blocked ? WRITABLE : 0);
    if (wanted === this.#watched) return;
    this.#watched = wanted;
    this.#poller.set(wanted);
  }

  #read(): void {
    // Most likely the first one gets all; if not, the poller calls again.
    for (let reads = 0; reads < READS_PER_EVENT && this.#events; reads++)
      if (this.#readSome(this.#events) < READ_BYTES) return;
  }

  /** Returns the bytes that came; 0 or less when there are none. */
  #readSome(events: TransportEvents): number {
    const fds: number[] = [];
    let size: number;
    try {
      size = this.#io.receiveMessage(this.#fd, room, fds);
    } catch (error) {
      this.#end(error as Error);
      return 0;
    }
    if (size === 0) this.#end(null);
    if (size <= 0) return size;
    const lostFds = fds.at(-1) === LOST_FDS;
    if (lostFds) fds.pop();
    try {
      events.onData(room.subarray(0, size), fds, lostFds);
    } finally {
      // Passwords and cookies come this way.
      room.fill(0, 0, size);
    }
    return size;
  }

  #flush(): void {
    this.#forgetLater();
    try {
      this.#join();
      while (this.#queue[0] && this.#sendSome(this.#queue[0])) this.#queue.shift();
      this.#blocked = this.#queue.length > 0;
    } catch (error) {
      if (!isPeerGone(error)) {
        this.#end(error as Error);
        return;
      }
      // The peer may have sent its last words before it went: the reading side reports the end.
      this.#writable = false;
      this.#dropQueue();
    }
    if (this.#queue.length === 0 && this.#linger) this.destroy();
    else this.#watch();
  }

  #forgetLater(): void {
    if (this.#later) clearTimeout(this.#later);
    this.#later = null;
  }

  /** Makes one of the first frames where that can be, so that their peer is woken once. */
  #join(): void {
    if (this.#queue.length < 2) return;
    let count = 0;
    let bytes = 0;
    for (const { frame, offset, fds } of this.#queue) {
      bytes += frame.length;
      if (offset > 0 || fds.length > 0 || bytes > MAX_JOINED_BYTES) break;
      count++;
    }
    if (count < 2) return;
    const frames = this.#queue.splice(0, count).map(({ frame }) => frame);
    this.#queue.unshift({ frame: Buffer.concat(frames), offset: 0, fds: [] });
    for (const frame of frames) frame.fill(0);
  }

  /** True when the frame has gone out completely. */
  #sendSome(outgoing: Outgoing): boolean {
    const { frame, fds } = outgoing;
    const sent = this.#io.sendMessage(this.#fd, frame.subarray(outgoing.offset), fds);
    if (sent === 0) return false;
    // They left with the first byte.
    outgoing.fds = [];
    for (const fd of fds) this.#io.close(fd);
    outgoing.offset += sent;
    this.#queuedBytes -= sent;
    if (outgoing.offset < frame.length) return false;
    frame.fill(0);
    return true;
  }

  #end(error: Error | null): void {
    const events = this.#events;
    this.destroy();
    events?.onEnd(error);
  }

  #dropQueue(): void {
    for (const outgoing of this.#queue.splice(0)) this.#drop(outgoing);
    this.#queuedBytes = 0;
  }

  #drop(outgoing: Outgoing): void {
    for (const fd of outgoing.fds) this.#io.close(fd);
    outgoing.frame.fill(0);
  }
}

function isPeerGone(error: unknown): boolean {
  const { code } = error as NodeJS.ErrnoException;
  return code === 'EPIPE' || code === 'ECONNRESET';
}
