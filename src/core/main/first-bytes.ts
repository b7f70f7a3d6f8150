/**
 * Accepted connections whose client has said nothing yet. They wait here, where one costs a descriptor, and not in a
 * worker process. Mostly the kernel has waited already (TCP_DEFER_ACCEPT); it does not with SYN cookies, or when its
 * time is over.
 */
import type { Logger } from '../log.js';
import { type Accepted, type NativeIo, type Poller, READABLE } from '../native/types.js';
import { ownerOf } from '../util/ip-owner.js';

/** Waiting at once; a further one takes the place of the oldest. */
const MAX_WAITING = 1024;
/** Less with a shorter auth-timeout. */
const LIMIT_SEC = 15;

/** 'end': the client closed again, as health probes do. 'silent': its time, or its place, is over. */
export type FirstBytesOutcome = 'bytes' | 'end' | 'silent';
type Done = (outcome: FirstBytesOutcome) => void;

export interface FirstBytesOptions {
  readonly io: Pick<NativeIo, 'hasBytes' | 'createPoller'>;
  readonly log: Logger;
  /** auth-timeout, seconds. */
  readonly limitSec: number;
}

interface Waiting {
  readonly key: string;
  readonly end: Done;
}

export class FirstBytes {
  readonly #options: FirstBytesOptions;
  /** In order of arrival. */
  readonly #waiting = new Set<Waiting>();
  readonly #byAddress = new Map<string, number>();

  constructor(options: FirstBytesOptions) {
    this.#options = options;
  }

  get size(): number {
    return this.#waiting.size;
  }

  /** How many of this address (IPv6: of its /64) wait. */
  of(ip: string): number {
    return this.#byAddress.get(ownerOf(ip)) ?? 0;
  }

  /** Calls `done` once, perhaps at once. The descriptor stays the caller's. */
  wait({ fd, remote }: Accepted, done: Done): void {
    const now = this.#look(fd);
    if (now === null) this.#enter(fd, ownerOf(remote.address), done);
    else done(now);
  }

  /** All that wait are 'silent'. */
  close(): void {
    for (const { end } of [...this.#waiting]) end('silent');
  }

  #enter(fd: number, key: string, done: Done): void {
    if (this.#waiting.size >= MAX_WAITING) this.#waiting.values().next().value?.end('silent');
    let poller: Poller | null = null;
    let timer: NodeJS.Timeout | null = null;
    const end: Done = (outcome) => {
      if (!this.#waiting.delete(waiting)) return;
      this.#count(key, -1);
      poller?.close();
      if (timer) clearTimeout(timer);
      done(outcome);
    };
    const waiting: Waiting = { key, end };
    this.#waiting.add(waiting);
    this.#count(key, 1);
    timer = setTimeout(() => end('silent'), Math.min(LIMIT_SEC, this.#options.limitSec) * 1000);
    poller = this.#options.io.createPoller(fd, () => {
      const found = this.#look(fd);
      if (found !== null) end(found);
    });
    poller.set(READABLE);
  }

  #look(fd: number): FirstBytesOutcome | null {
    try {
      const found = this.#options.io.hasBytes(fd);
      if (found === null) return null;
      return found ? 'bytes' : 'end';
    } catch (error) {
      // Reset by the client.
      this.#options.log.debug({ err: error }, 'connection broke before its first byte');
      return 'end';
    }
  }

  #count(key: string, change: 1 | -1): void {
    const count = (this.#byAddress.get(key) ?? 0) + change;
    if (count === 0) this.#byAddress.delete(key);
    else this.#byAddress.set(key, count);
  }
}
