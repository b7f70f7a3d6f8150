/**
 * Two roles in one process, for tests: the same frames, codec and checks as over a socket, without one.
 * Descriptors keep their numbers and change owner.
 */
import { closeSync } from 'node:fs';
import type { PeerCredentials } from '../native/types.js';
import type { Channel, ChannelOptions } from './api.js';
import { Endpoint } from './endpoint.js';
import type { Role } from './messages.js';
import type { Transport, TransportEvents } from './transport.js';

/** One end. Delivery is asynchronous and in order, as with a socket. */
export class MemoryTransport implements Transport {
  #events: TransportEvents | null = null;
  #other: MemoryTransport | null = null;
  #inbox: { data: Buffer; fds: readonly number[] }[] = [];
  #scheduled = false;
  #ended = false;
  #closed = false;

  static pair(): [MemoryTransport, MemoryTransport] {
    const pair: [MemoryTransport, MemoryTransport] = [new MemoryTransport(), new MemoryTransport()];
    pair[0].#other = pair[1];
    pair[1].#other = pair[0];
    return pair;
  }

  start(events: TransportEvents): void {
    this.#events = events;
    this.#schedule();
  }

  get queuedBytes(): number {
    const unread = this.#other ? this.#other.#inbox : [];
    return unread.reduce((sum, { data }) => sum + data.length, 0);
  }

  send(frame: Buffer, fds: readonly number[]): void {
    const other = this.#other;
    if (this.#closed || !other || other.#closed) {
      for (const fd of fds) closeSync(fd);
      return;
    }
    other.#inbox.push({ data: frame, fds });
    other.#schedule();
  }

  /** Its reader is woken for all that is there anyway. */
  sendLater(frame: Buffer): void {
    this.send(frame, []);
  }

  close(): void {
    this.destroy();
  }

  destroy(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#events = null;
    for (const { fds } of this.#inbox.splice(0)) for (const fd of fds) closeSync(fd);
    if (this.#other) {
      this.#other.#ended = true;
      this.#other.#schedule();
    }
  }

  closeFd(fd: number): void {
    closeSync(fd);
  }

  #schedule(): void {
    if (this.#scheduled || !this.#events) return;
    this.#scheduled = true;
    setImmediate(() => {
      this.#scheduled = false;
      this.#deliver();
    });
  }

  #deliver(): void {
    while (this.#events && this.#inbox.length > 0) {
      const { data, fds } = this.#inbox.shift() as { data: Buffer; fds: readonly number[] };
      this.#events.onData(data, fds, false);
      data.fill(0);
    }
    if (this.#ended && this.#events) {
      const events = this.#events;
      this.destroy();
      events.onEnd(null);
    }
  }
}

/** Two open channels that talk to each other; HELLO counts as exchanged. */
export function joinChannels<A extends Role, B extends Role>(
  a: ChannelOptions<A, B>,
  b: ChannelOptions<B, A>,
): [Channel<A, B>, Channel<B, A>] {
  const [left, right] = MemoryTransport.pair();
  const credentials: PeerCredentials = {
    pid: process.pid,
    uid: process.geteuid?.() ?? 0,
    gid: process.getegid?.() ?? 0,
  };
  const ends: [Endpoint<A, B>, Endpoint<B, A>] = [
    new Endpoint(left, credentials, a, true),
    new Endpoint(right, credentials, b, true),
  ];
  for (const end of ends) end.start();
  return ends;
}
